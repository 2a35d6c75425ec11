//! Extended attributes, as they are kept in the spool.

use floe_format::XattrList;

use crate::error::{Error, ErrorKind, Result};

/// The names and values, each after its length.
pub(super) fn encode(list: &XattrList) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in list.as_xattrs().iter() {
        for part in [name, value] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

/// What was encoded.
pub(super) fn decode(mut bytes: &[u8]) -> Result<XattrList> {
    let mut attributes = Vec::new();
    while !bytes.is_empty() {
        let name = take_part(&mut bytes)?;
        attributes.push((name, take_part(&mut bytes)?));
    }
    XattrList::new(attributes).map_err(Error::from)
}

fn take_part<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let split = bytes
        .split_first_chunk()
        .and_then(|(length, rest)| rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?));
    let (part, rest) =
        split.ok_or_else(|| Error::new(ErrorKind::Internal, "the temporary file of the tar was changed"))?;
    *bytes = rest;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_comes_back() {
        let list =
            XattrList::new([("user.a", &b"\0value"[..]), ("user.b", b""), ("user.c", &[7; 1000])]).unwrap();
        assert_eq!(decode(&encode(&list)).unwrap(), list);
        let encoded = encode(&list);
        decode(&encoded[..encoded.len() - 1]).unwrap_err();
    }
}
