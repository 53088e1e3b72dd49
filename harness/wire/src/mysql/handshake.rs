//! The beginning of a connection: what the server offers and the client takes.

use std::io;

use mysql_async::consts::CapabilityFlags;

use super::packet::{HEADER, payload};

/// The proxy does not follow these: the server does not offer them.
const UNFOLLOWED: CapabilityFlags = CapabilityFlags::CLIENT_SSL
    .union(CapabilityFlags::CLIENT_COMPRESS)
    .union(CapabilityFlags::CLIENT_ZSTD_COMPRESSION_ALGORITHM)
    .union(CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA)
    .union(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);

const PROTOCOL_VERSION: u8 = 10;
/// Thread id, first part of the challenge, a zero.
const BEFORE_CAPABILITIES: usize = 4 + 8 + 1;
/// Character set and status lie between the capabilities' halves.
const BETWEEN_CAPABILITIES: usize = 2 + 1 + 2;
/// Capabilities, packet size, character set, filler.
const BEFORE_USER: usize = 4 + 4 + 1 + 23;

/// Takes what the proxy does not follow out of the server's greeting. False if it is none: the server
/// refuses the connection.
pub(super) fn narrow(greeting: &mut [u8]) -> bool {
    let Some(payload) = greeting.get_mut(HEADER..) else { return false };
    if payload.first() != Some(&PROTOCOL_VERSION) {
        return false;
    }
    let Some(version) = payload.iter().position(|byte| *byte == 0) else { return false };
    let low = version + 1 + BEFORE_CAPABILITIES;
    let unfollowed = UNFOLLOWED.bits().to_le_bytes();
    for (at, mask) in [low, low + 1].into_iter().zip(&unfollowed[..2]) {
        if let Some(byte) = payload.get_mut(at) {
            *byte &= !mask;
        }
    }
    let high = low + BETWEEN_CAPABILITIES;
    for (at, mask) in [high, high + 1].into_iter().zip(&unfollowed[2..]) {
        if let Some(byte) = payload.get_mut(at) {
            *byte &= !mask;
        }
    }
    true
}

/// What the client answers to the greeting.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    /// `CLIENT_DEPRECATE_EOF`.
    pub(super) no_eof: bool,
}

/// Reads the client's answer to the greeting.
///
/// # Errors
/// It is of an older protocol, or takes what was not offered.
pub(super) fn login(message: &[u8]) -> io::Result<Login> {
    let malformed = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let said = payload(message);
    let Some(bits) = said.first_chunk::<4>().filter(|_| said.len() >= BEFORE_USER) else {
        return Err(malformed("the client's answer to the greeting is too short".to_owned()));
    };
    let taken = CapabilityFlags::from_bits_retain(u32::from_le_bytes(*bits));
    if !taken.contains(CapabilityFlags::CLIENT_PROTOCOL_41) {
        return Err(malformed("the client speaks a protocol from before 4.1".to_owned()));
    }
    if taken.intersects(UNFOLLOWED) {
        let unoffered = taken.intersection(UNFOLLOWED);
        return Err(malformed(format!("the client takes what was not offered: {unoffered:?}")));
    }
    let user = said[BEFORE_USER..].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Login {
        user: String::from_utf8_lossy(user).into_owned(),
        no_eof: taken.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF),
    })
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::message;
    use super::*;

    fn greeting(capabilities: u32) -> Vec<u8> {
        let [a, b, c, d] = capabilities.to_le_bytes();
        let mut said = b"\x0a9.7.0\0\x01\0\0\0challeng\0".to_vec();
        said.extend([a, b, 255, 2, 0, c, d, 21]);
        message(0, &said)
    }

    #[test]
    fn only_what_the_proxy_does_not_follow_is_taken_out() {
        let mut bytes = greeting(u32::MAX);
        assert!(narrow(&mut bytes));
        assert_eq!(bytes, greeting(!UNFOLLOWED.bits()));
        assert!(!narrow(&mut message(0, b"\xff\x10\x04Too many connections")));
        for length in 0..bytes.len() {
            narrow(&mut bytes[..length]); // Never panics.
        }
    }

    #[test]
    fn a_client_takes_only_what_was_offered() {
        let answer = |capabilities: CapabilityFlags| {
            let mut said = capabilities.bits().to_le_bytes().to_vec();
            said.resize(BEFORE_USER, 0);
            said.extend(b"t_i3\0and more");
            login(&message(1, &said))
        };
        let modern = CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_DEPRECATE_EOF;
        assert_eq!(answer(modern).unwrap(), Login { user: "t_i3".to_owned(), no_eof: true });
        assert!(answer(modern | CapabilityFlags::CLIENT_SSL).is_err());
        assert!(answer(CapabilityFlags::empty()).is_err());
        assert!(login(&message(1, b"short")).is_err());
    }
}
