//! How roots, segments and index segments begin: a magic, their version, and what they are of.

use crate::error::Result;
use crate::wire::WireReader;

/// The version of all three.
const VERSION: u8 = 1;

/// They are of a tree. Other kinds are other versions' business.
const KIND_TREE: u8 = 1;

/// Passes over a head.
///
/// # Errors
/// `Corrupt` where it is none; `Unsupported` for a version or kind that is not known.
pub(crate) fn read_head(reader: &mut WireReader<'_>, magic: &[u8; 4]) -> Result<()> {
    reader.magic(magic)?;
    let version = reader.u8()?;
    if version != VERSION {
        return Err(reader.unsupported(format_args!("version {version}")));
    }
    let kind = reader.u8()?;
    if kind != KIND_TREE {
        return Err(reader.unsupported(format_args!("kind {kind}")));
    }
    Ok(())
}

/// Appends a head.
pub(crate) fn put_head(bytes: &mut Vec<u8>, magic: &[u8; 4]) {
    bytes.extend_from_slice(magic);
    bytes.extend_from_slice(&[VERSION, KIND_TREE]);
}
