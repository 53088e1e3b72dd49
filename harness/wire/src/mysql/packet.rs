//! Packets: a header of four bytes (three of length, one of sequence), then the payload. A longer
//! payload than one packet holds goes on in the next.

use std::borrow::Cow;

/// Bytes before each packet's payload.
pub(super) const HEADER: usize = 4;
/// A payload of this length goes on in the next packet.
pub(super) const LONGEST: usize = 0xff_ffff;

/// The length of the packet's payload, by its header.
pub(super) fn payload_length(header: &[u8]) -> usize {
    usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16
}

/// The length of the first message, packets with their headers, once all of it is there.
pub(super) fn message_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let header = bytes.get(at..at + HEADER)?;
        let length = payload_length(header);
        at += HEADER + length;
        if length < LONGEST {
            return (bytes.len() >= at).then_some(at);
        }
    }
}

/// What a whole message says.
pub(super) fn payload(message: &[u8]) -> Cow<'_, [u8]> {
    if message.len() < HEADER + LONGEST {
        return Cow::Borrowed(message.get(HEADER..).unwrap_or_default());
    }
    let packets = message.chunks(HEADER + LONGEST);
    Cow::Owned(
        packets.flat_map(|packet| packet.get(HEADER..).unwrap_or_default()).copied().collect(),
    )
}

/// A length-encoded number and the bytes it takes; none if it is cut off or no number.
pub(super) fn length_encoded(bytes: &[u8]) -> Option<(u64, usize)> {
    let wide = |count: usize| {
        let mut number = [0; 8];
        number[..count].copy_from_slice(bytes.get(1..=count)?);
        Some((u64::from_le_bytes(number), count + 1))
    };
    match *bytes.first()? {
        0xfc => wide(2),
        0xfd => wide(3),
        0xfe => wide(8),
        0xfb | 0xff => None,
        small => Some((small.into(), 1)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A message of this payload, in as many packets as it takes.
    pub(in crate::mysql) fn message(mut sequence: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = payload;
        loop {
            let (packet, after) = rest.split_at(rest.len().min(LONGEST));
            bytes.extend_from_slice(&u32::try_from(packet.len()).unwrap().to_le_bytes()[..3]);
            bytes.push(sequence);
            bytes.extend_from_slice(packet);
            if packet.len() < LONGEST {
                return bytes;
            }
            (rest, sequence) = (after, sequence.wrapping_add(1));
        }
    }

    #[test]
    fn a_message_is_whole_with_its_last_packet() {
        for length in [0, 1, 300, LONGEST - 1, LONGEST, LONGEST + 7] {
            let said = vec![3; length];
            let mut bytes = message(0, &said);
            assert_eq!(message_length(&bytes[..bytes.len() - 1]), None);
            let whole = bytes.len();
            bytes.push(9);
            assert_eq!(message_length(&bytes), Some(whole));
            assert!(payload(&bytes[..whole]) == said, "{length}");
        }
    }

    #[test]
    fn numbers_have_four_lengths() {
        assert_eq!(length_encoded(&[250]), Some((250, 1)));
        assert_eq!(length_encoded(&[0xfc, 1, 2]), Some((0x201, 3)));
        assert_eq!(length_encoded(&[0xfd, 1, 2, 3]), Some((0x3_0201, 4)));
        assert_eq!(length_encoded(&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0]), Some((1, 9)));
        assert_eq!(length_encoded(&[0xfc, 1]), None);
    }
}
