//! DER, as far as a key and a certificate need it: written, never read.

/// A value with its tag and the length of its content.
pub(super) fn value(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let length: usize = content.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let long: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match long.as_slice() {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        // A length has eight bytes at most.
        long => out.extend(
            std::iter::once(0x80 | u8::try_from(long.len()).unwrap_or(8)).chain(long.iter().copied()),
        ),
    }
    out.extend(content.iter().copied().flatten());
    out
}

/// SEQUENCE.
pub(super) fn sequence(content: &[&[u8]]) -> Vec<u8> {
    value(0x30, content)
}

/// INTEGER, not negative, from its bytes.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    match digits.first() {
        Some(first) if *first < 0x80 => value(0x02, &[&digits]),
        _ => value(0x02, &[&[0], &digits]),
    }
}

/// BIT STRING of whole bytes.
pub(super) fn bits(bytes: &[u8]) -> Vec<u8> {
    value(0x03, &[&[0], bytes])
}

/// OBJECT IDENTIFIER, already encoded.
pub(super) fn oid(bytes: &[u8]) -> Vec<u8> {
    value(0x06, &[bytes])
}

/// NULL.
pub(super) const NULL: &[u8] = &[0x05, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_have_the_shortest_form() {
        assert_eq!(sequence(&[]), [0x30, 0]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(value(4, &[&[1; 0x7f]])[..2], [4, 0x7f]);
        assert_eq!(value(4, &[&[1; 0x80]])[..3], [4, 0x81, 0x80]);
        assert_eq!(value(4, &[&[1; 0x80], &[1; 0x80]])[..4], [4, 0x82, 1, 0]);
        assert_eq!((bits(&[7]), oid(&[0x55, 4, 3])), (vec![3, 2, 0, 7], vec![6, 3, 0x55, 4, 3]));
    }
}
