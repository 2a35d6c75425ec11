//! Snapshot objects: a root and one layout of it (`docs/format.md` §9).

use crate::wire::WireReader;
use crate::{Error, LayoutId, Result, SnapshotId, Sum128};

/// Most bytes of a root.
pub const MAX_ROOT_LEN: usize = 1 << 20;

/// Most bytes of a layout.
pub const MAX_LAYOUT_LEN: usize = 1 << 20;

/// Most bytes of a snapshot object.
pub const MAX_SNAPSHOT_OBJECT_LEN: usize = HEADER_LEN + MAX_ROOT_LEN + MAX_LAYOUT_LEN;

const MAGIC: &[u8; 8] = b"FLOESNAP";

const VERSION: u16 = 1;

const HEADER_LEN: usize = 56;

/// Where the sum of the bytes before and after it stands.
const SUM_AT: usize = 40;

/// What is stored at `snapshots/<SnapshotId>/<LayoutId>`: the root's bytes and the layout's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotObject<'a> {
    /// The layout's id.
    pub layout_id: LayoutId,
    /// The root's bytes, 1 to [`MAX_ROOT_LEN`].
    pub root: &'a [u8],
    /// The layout's bytes, 1 to [`MAX_LAYOUT_LEN`].
    pub layout: &'a [u8],
}

impl<'a> SnapshotObject<'a> {
    /// The snapshot's id.
    pub fn snapshot_id(&self) -> SnapshotId {
        SnapshotId::of(self.root)
    }

    /// The bytes of this object.
    ///
    /// # Errors
    /// `Invalid` where root or layout are empty or too long.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let len = |part: &str, bytes: &[u8], limit: usize| match u32::try_from(bytes.len()) {
            Ok(len) if len > 0 && bytes.len() <= limit => Ok(len),
            _ => Err(Error::invalid(format!("a {part} of {} bytes, not 1 to {limit}", bytes.len()))),
        };
        let root_len = len("root", self.root, MAX_ROOT_LEN)?;
        let layout_len = len("layout", self.layout, MAX_LAYOUT_LEN)?;
        let mut object = Vec::with_capacity(HEADER_LEN + self.root.len() + self.layout.len());
        object.extend_from_slice(MAGIC);
        object.extend_from_slice(&VERSION.to_le_bytes());
        object.extend_from_slice(&[0; 2]);
        object.extend_from_slice(&root_len.to_le_bytes());
        object.extend_from_slice(&layout_len.to_le_bytes());
        object.extend_from_slice(&[0; 4]);
        object.extend_from_slice(self.layout_id.as_bytes());
        let sum = sum(&object, &[self.root, self.layout]);
        object.extend_from_slice(sum.as_bytes());
        object.extend_from_slice(self.root);
        object.extend_from_slice(self.layout);
        Ok(object)
    }

    /// The object with these bytes, which are said to be those of this snapshot and this layout.
    ///
    /// The sum and the snapshot's id are checked. The root and the layout are not looked into.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are not those; `Unsupported` for a version that is not known.
    pub fn decode(snapshot_id: SnapshotId, layout_id: LayoutId, bytes: &'a [u8]) -> Result<Self> {
        let wrong = |what| Error::corrupt(format!("snapshot object {snapshot_id}/{layout_id}: {what}"));
        let mut reader = WireReader::new("snapshot object", bytes);
        reader.magic(MAGIC)?;
        // Of a newer version the sum is the same; of a damaged object it is not.
        let (header, content) = bytes.split_at_checked(HEADER_LEN).ok_or_else(|| wrong("it is too short"))?;
        if sum(&header[..SUM_AT], &[content, &[]]).as_bytes() != &header[SUM_AT..] {
            return Err(wrong("its sum is wrong"));
        }
        let version = reader.u16()?;
        if version != VERSION {
            return Err(reader.unsupported(format_args!("version {version}")));
        }
        reader.reserved(2)?;
        let mut length = |part: &str, limit: usize| {
            let length = reader.u32()? as usize;
            if length == 0 || length > limit {
                return Err(reader.corrupt(format_args!("a {part} of {length} bytes")));
            }
            Ok(length)
        };
        let root_len = length("root", MAX_ROOT_LEN)?;
        let layout_len = length("layout", MAX_LAYOUT_LEN)?;
        reader.reserved(4)?;
        let stated_layout_id = LayoutId::from_bytes(reader.array()?);
        reader.take(HEADER_LEN - SUM_AT)?;
        let object = Self { layout_id, root: reader.take(root_len)?, layout: reader.take(layout_len)? };
        reader.end()?;
        if stated_layout_id != layout_id {
            Err(wrong("it is of another layout"))
        } else if object.snapshot_id() != snapshot_id {
            Err(wrong("it is of another snapshot"))
        } else {
            Ok(object)
        }
    }
}

fn sum(before: &[u8], after: &[&[u8]; 2]) -> Sum128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    for part in after {
        hasher.update(part);
    }
    Sum128::from_hash(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ErrorKind;

    const LAYOUT: LayoutId = LayoutId::from_bytes([3; 16]);

    fn encoded(root: &[u8], layout: &[u8]) -> Result<Vec<u8>> {
        let layout_id = LAYOUT;
        SnapshotObject { layout_id, root, layout }.encode()
    }

    /// Puts the sum right, so that only the checks behind it are left.
    fn with_right_sum(mut object: Vec<u8>) -> Vec<u8> {
        let sum = sum(&object[..SUM_AT], &[&object[HEADER_LEN..], &[]]);
        object[SUM_AT..HEADER_LEN].copy_from_slice(sum.as_bytes());
        object
    }

    proptest! {
        #[test]
        fn objects_round_trip(
            root in proptest::collection::vec(any::<u8>(), 1..100),
            layout in proptest::collection::vec(any::<u8>(), 1..100),
        ) {
            let object = encoded(&root, &layout).unwrap();
            let decoded = SnapshotObject::decode(SnapshotId::of(&root), LAYOUT, &object).unwrap();
            prop_assert_eq!(decoded, SnapshotObject { layout_id: LAYOUT, root: &root, layout: &layout });
        }

        #[test]
        fn i7_any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &bytes].concat();
            prop_assert!(SnapshotObject::decode(SnapshotId::of(b"root"), LAYOUT, &bytes).is_err());
        }
    }

    #[test]
    fn the_limits_hold_for_writers() {
        let (most, over) = (vec![0; MAX_ROOT_LEN], vec![0; MAX_ROOT_LEN + 1]);
        let object = encoded(&most, &most).unwrap();
        assert_eq!(object.len(), MAX_SNAPSHOT_OBJECT_LEN);
        SnapshotObject::decode(SnapshotId::of(&most), LAYOUT, &object).unwrap();
        for (root, layout) in [(&over, &most), (&most, &over), (&vec![], &most), (&most, &vec![])] {
            assert_eq!(encoded(root, layout).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn i7_every_changed_byte_and_every_truncation_is_detected() {
        let id = SnapshotId::of(b"a root");
        let mut object = encoded(b"a root", b"a layout").unwrap();
        for len in 0..object.len() {
            assert!(SnapshotObject::decode(id, LAYOUT, &object[..len]).is_err());
        }
        for at in 0..object.len() {
            for change in 1..=255 {
                object[at] ^= change;
                assert!(SnapshotObject::decode(id, LAYOUT, &object).is_err(), "byte {at}");
                object[at] ^= change;
            }
        }
        SnapshotObject::decode(id, LAYOUT, &object).unwrap();
        object.push(0);
        assert!(SnapshotObject::decode(id, LAYOUT, &object).is_err());
        assert!(SnapshotObject::decode(id, LAYOUT, &with_right_sum(object)).is_err());
    }

    #[test]
    fn i7_hostile_fields_with_a_right_sum_are_refused() {
        let id = SnapshotId::of(b"a root");
        let object = encoded(b"a root", b"a layout").unwrap();
        assert_eq!(with_right_sum(object.clone()), object);
        for at in [12, 16] {
            for value in [0, 1, 5, 1 << 20, (1 << 20) + 1, u32::MAX] {
                let mut bad = object.clone();
                bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
                assert!(SnapshotObject::decode(id, LAYOUT, &with_right_sum(bad)).is_err());
            }
        }
        for at in [8, 9, 10, 11, 20, 23] {
            let mut bad = object.clone();
            bad[at] ^= 2;
            let error = SnapshotObject::decode(id, LAYOUT, &with_right_sum(bad)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "byte {at}");
        }
        // The boundary between root and layout is moved.
        let mut bad = object.clone();
        (bad[12], bad[16]) = (bad[12] + 1, bad[16] - 1);
        assert!(SnapshotObject::decode(id, LAYOUT, &with_right_sum(bad)).is_err());
        for (id, layout) in [(SnapshotId::of(b"another"), LAYOUT), (id, LayoutId::from_bytes([4; 16]))] {
            let error = SnapshotObject::decode(id, layout, &object).unwrap_err();
            assert!(error.to_string().contains("of another"), "{error}");
        }
    }
}
