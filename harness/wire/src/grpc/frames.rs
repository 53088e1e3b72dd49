//! gRPC's messages on the wire: one byte of flags, four of length, the message.

use bytes::{Buf, Bytes, BytesMut};

/// Before each message.
const PREFIX: usize = 5;
/// Requests and unary answers are read whole; a greater one is refused, as servers do.
pub(super) const MESSAGE_MAX: usize = 64 << 20;

/// A message is greater than [`MESSAGE_MAX`].
#[derive(Debug, thiserror::Error)]
#[error("a message of {0} bytes is too great for the proxy")]
pub(super) struct TooGreat(usize);

/// Makes whole messages of the chunks of a body.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    chunks: BytesMut,
}

impl Assembler {
    /// Adds what has come.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.chunks.extend_from_slice(chunk);
    }

    /// The next whole message, with its prefix.
    pub(super) fn message(&mut self) -> Result<Option<Bytes>, TooGreat> {
        let Some(length) = length(&self.chunks) else { return Ok(None) };
        if length > MESSAGE_MAX {
            return Err(TooGreat(length));
        }
        let whole = PREFIX + length;
        Ok((self.chunks.len() >= whole).then(|| self.chunks.split_to(whole).freeze()))
    }

    /// What has come of a message that never became whole.
    pub(super) fn rest(&mut self) -> Bytes {
        self.chunks.split().freeze()
    }
}

/// The content of a body that is one message; none when it is no such body, or compressed.
pub(super) fn content(body: &[u8]) -> Option<&[u8]> {
    let (is_compressed, content) = (body.first()? != &0, body.get(PREFIX..)?);
    (!is_compressed && length(body)? == content.len()).then_some(content)
}

fn length(body: &[u8]) -> Option<usize> {
    let mut length = body.get(1..PREFIX)?;
    usize::try_from(length.get_u32()).ok()
}

/// Finds where messages begin and end in a body that is passed on as it comes.
#[derive(Debug, Default)]
pub(super) struct Boundaries {
    prefix: [u8; PREFIX],
    /// How much of the prefix has come.
    have: usize,
    /// How much of the message is to come.
    left: usize,
}

/// A part of one message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// It is the message's first.
    pub(super) begins: bool,
    /// It is its last.
    pub(super) ends: bool,
}

impl Boundaries {
    /// Takes the next part from a chunk; none when it is used up.
    pub(super) fn take(&mut self, chunk: &mut Bytes) -> Option<Piece> {
        if chunk.is_empty() {
            return None;
        }
        let begins = self.have == 0;
        let prefix = chunk.len().min(PREFIX - self.have);
        self.prefix[self.have..self.have + prefix].copy_from_slice(&chunk[..prefix]);
        self.have += prefix;
        if prefix > 0 {
            // Four bytes fit on the machines that run this.
            self.left = length(&self.prefix).unwrap_or(usize::MAX);
        }
        let is_known = self.have == PREFIX;
        let message = if is_known { self.left.min(chunk.len() - prefix) } else { 0 };
        self.left -= message;
        let ends = is_known && self.left == 0;
        if ends {
            self.have = 0;
        }
        Some(Piece { bytes: chunk.split_to(prefix + message), begins, ends })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[0][..], &length, content].concat()
    }

    proptest! {
        /// However a body is cut, both find its messages, and no byte is lost.
        #[test]
        fn messages_are_found_however_they_are_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8),
            cuts in prop::collection::vec(1_usize..12, 1..20),
        ) {
            let framed: Vec<Vec<u8>> = messages.iter().map(|message| framed(message)).collect();
            let body = framed.concat();
            let mut chunks = Vec::new();
            let mut rest = &body[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                chunks.push(Bytes::copy_from_slice(chunk));
                rest = after;
            }

            let mut assembler = Assembler::default();
            let mut assembled = Vec::new();
            for chunk in &chunks {
                assembler.push(chunk);
                while let Some(message) = assembler.message().unwrap() {
                    assembled.push(message.to_vec());
                }
            }
            prop_assert_eq!(&assembled, &framed);
            prop_assert!(assembler.rest().is_empty());

            let mut boundaries = Boundaries::default();
            let mut passed: Vec<Vec<u8>> = Vec::new();
            let mut is_open = false;
            for mut chunk in chunks {
                while let Some(piece) = boundaries.take(&mut chunk) {
                    prop_assert_eq!(piece.begins, !is_open);
                    if piece.begins {
                        passed.push(Vec::new());
                    }
                    is_open = !piece.ends;
                    passed.last_mut().unwrap().extend_from_slice(&piece.bytes);
                }
            }
            prop_assert!(!is_open);
            prop_assert_eq!(&passed, &framed);
        }
    }

    #[test]
    fn only_one_whole_uncompressed_message_has_a_content() {
        assert_eq!(content(&framed(b"abc")), Some(&b"abc"[..]));
        assert_eq!(content(&framed(b"")), Some(&b""[..]));
        for body in
            [&b""[..], &[0, 0], &[0, 0, 0, 0, 2, 1], &[0, 0, 0, 0, 1, 1, 1], &[1, 0, 0, 0, 0]]
        {
            assert_eq!(content(body), None, "{body:?}");
        }
    }

    #[test]
    fn a_message_beyond_all_bounds_is_refused() {
        let mut assembler = Assembler::default();
        assembler.push(&[0, 255, 255, 255, 255]);
        assert!(assembler.message().is_err());
    }
}
