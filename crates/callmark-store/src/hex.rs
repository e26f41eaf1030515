//! Digests as text: SHA-256 in lower-case hexadecimal, the form every record and file name uses.

use sha2::{Digest, Sha256};

/// Lower-case hexadecimal of `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes of an even number of hexadecimal digits; `None` for anything else.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// The 32 bytes of 64 hexadecimal digits; `None` for anything else.
pub(crate) fn decode_digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

/// SHA-256 over `parts`, each preceded by its length so that no two lists of parts share a digest.
pub(crate) fn digest_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_hexadecimal() {
        let digest = digest_of_parts(&[b"a", b"b"]);
        assert_eq!(decode_digest(&encode(&digest)), Some(digest));
        assert_eq!(decode_digest("00"), None);
        assert_eq!(decode_digest(&"g0".repeat(32)), None);
    }

    #[test]
    fn where_one_part_ends_matters() {
        assert_ne!(digest_of_parts(&[b"ab", b"c"]), digest_of_parts(&[b"a", b"bc"]));
    }
}
