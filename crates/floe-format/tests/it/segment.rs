//! Segments: round trips, hostile bytes, and what the frames must hold.

use floe_format::{
    Body, ContentHash, Entry, EntryRef, Error, ErrorKind, FrameId, Kept, OwnedBody, Result, Run, Segment,
    SegmentBuilder, TAR_END, tar_len,
};
use proptest::prelude::*;

use crate::trees::{self, file, kept, plain, tree};

/// Decodes a segment in both ways, which have to agree.
pub(crate) fn decode(plain: &[u8]) -> Result<(Vec<Entry>, Vec<Run>)> {
    let mut at_once = Vec::new();
    let segment = Segment::parse_with(plain, |entry| at_once.push(entry.to_entry()));
    let is_sound = segment.is_ok();
    let runs = segment.map(|segment| segment.runs().to_vec());
    let one_by_one = decode_one_by_one(plain);
    assert_eq!(one_by_one.is_ok(), is_sound);
    let one_by_one = one_by_one?;
    assert_eq!(one_by_one, (at_once, runs?));
    Ok(one_by_one)
}

fn decode_one_by_one(plain: &[u8]) -> Result<(Vec<Entry>, Vec<Run>)> {
    let segment = Segment::parse(plain)?;
    let mut decoded = Vec::new();
    let mut entries = segment.entries();
    while let Some(entry) = entries.next()? {
        entry.validate(segment.kept())?;
        decoded.push(entry.to_entry());
    }
    assert_eq!(decoded.len(), segment.entry_count());
    assert!(entries.next()?.is_none());
    Ok((decoded, segment.runs().to_vec()))
}

/// Makes a segment's bytes again from what they were decoded to.
pub(crate) fn encode(like: &Segment<'_>, entries: &[Entry], runs: &[Run]) -> Result<Vec<u8>> {
    let mut builder = SegmentBuilder::new(like.kept());
    builder.set_lead(like.lead());
    for entry in entries {
        builder.add_entry(&entry.as_entry())?;
    }
    for run in runs {
        builder.add_run(*run)?;
    }
    builder.finish(like.has_end())
}

fn build(kept: Kept, lead: u64, entries: &[Entry], frames: &[(FrameId, u32)], has_end: bool) -> Vec<u8> {
    let mut builder = SegmentBuilder::new(kept);
    builder.set_lead(lead);
    for entry in entries {
        builder.add_entry(&entry.as_entry()).unwrap();
    }
    for (id, length) in frames {
        builder.add_frame(*id, *length).unwrap();
    }
    builder.finish(has_end).unwrap()
}

fn frames() -> impl Strategy<Value = Vec<(FrameId, u32)>> {
    proptest::collection::vec((0u8..4).prop_map(|n| (FrameId::of(&[n]), u32::from(n) + 1)), 1..20)
}

fn a_segment() -> impl Strategy<Value = (Kept, Vec<Entry>, Vec<u8>)> {
    (kept(), 0u64..1 << 60, frames(), any::<bool>())
        .prop_flat_map(|(kept, lead, frames, has_end)| (Just((kept, lead, frames, has_end)), tree(kept, 30)))
        .prop_map(|((kept, lead, frames, has_end), members)| {
            let entries: Vec<Entry> = members.into_iter().map(|m| m.0).collect();
            let plain = build(kept, lead, &entries, &frames, has_end);
            (kept, entries, plain)
        })
}

proptest! {
    #[test]
    fn what_goes_in_comes_out((kept, entries, plain) in a_segment()) {
        let segment = Segment::parse(&plain).unwrap();
        prop_assert_eq!(segment.kept(), kept);
        let (decoded, runs) = decode(&plain).unwrap();
        prop_assert_eq!(&decoded, &entries);
        prop_assert_eq!(encode(&segment, &decoded, &runs).unwrap(), plain);
    }

    #[test]
    fn entries_go_on_from_any_place((_, entries, plain) in a_segment()) {
        let segment = Segment::parse(&plain).unwrap();
        let mut passing = segment.entries();
        for passed in 0..=entries.len() {
            let place = passing.place();
            let mut rest = place.entries(&plain);
            prop_assert_eq!(rest.left(), entries.len() - passed);
            for entry in &entries[passed..] {
                prop_assert_eq!(&rest.next().unwrap().unwrap().to_entry(), entry);
            }
            prop_assert!(rest.next().unwrap().is_none());
            // Of what is not that segment there is an error, or nonsense.
            let mut nonsense = place.entries(&plain[..plain.len() / 2]);
            while let Ok(Some(_)) = nonsense.next() {}
            passing.next().unwrap();
        }
    }

    #[test]
    fn mutated_bytes_are_refused_or_canonical(
        (_, _, mut plain) in a_segment(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..4),
    ) {
        for (at, byte, how) in changes {
            let at = at.index(plain.len());
            match how {
                0 => plain[at] = byte,
                1 => plain[at] ^= 1 << (byte & 7),
                2 => plain.insert(at, byte),
                _ => { plain.remove(at); }
            }
        }
        if let Ok((entries, runs)) = decode(&plain) {
            let segment = Segment::parse(&plain).unwrap();
            // Must not panic, whatever it says.
            segment.check().ok();
            prop_assert_eq!(encode(&segment, &entries, &runs).unwrap(), plain);
        }
    }

    #[test]
    fn random_bytes_are_refused(rest in proptest::collection::vec(any::<u8>(), 0..200), kept in 0u8..8) {
        let plain = [&b"FSEG\x01\x01"[..], &[kept, 0], &rest].concat();
        if let Ok((entries, runs)) = decode(&plain) {
            let segment = Segment::parse(&plain).unwrap();
            prop_assert_eq!(encode(&segment, &entries, &runs).unwrap(), plain);
        }
    }

    #[test]
    fn a_cut_off_segment_is_refused((_, _, plain) in a_segment()) {
        for length in (0..plain.len()).step_by(1 + plain.len() / 50) {
            prop_assert!(decode(&plain[..length]).is_err());
        }
        prop_assert!(decode(&[&plain[..], &[0]].concat()).is_err());
    }
}

fn some_frames() -> [(FrameId, u32); 1] {
    [(FrameId::of(b"x"), 1)]
}

fn kind(result: Result<impl Sized, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn what_is_newer_is_unsupported() {
    let good = build(Kept::NONE, 0, &[plain(b"a", 0, OwnedBody::Fifo)], &some_frames(), false);
    decode(&good).unwrap();
    for (at, what) in [(4, "version"), (5, "kind"), (6, "kept"), (7, "flags"), (11, "kind of entry")] {
        let mut newer = good.clone();
        newer[at] = 0x48;
        assert_eq!(kind(decode(&newer)), Some(ErrorKind::Unsupported), "{what}");
    }
    let mut other = good;
    other[0] = b'X';
    assert_eq!(kind(decode(&other)), Some(ErrorKind::Corrupt));
}

#[test]
fn counts_are_bounded() {
    let header = b"FSEG\x01\x01\x00\x00\x00";
    // 2^56 entries, then 2^56 runs, then no run at all.
    for counts in [
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 1][..],
        &[0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
        &[0, 0],
    ] {
        assert_eq!(kind(decode(&[header, counts].concat())), Some(ErrorKind::Corrupt));
    }
    let mut builder = SegmentBuilder::new(Kept::NONE);
    for n in 0..1024 {
        builder.add_entry(&plain(format!("{n:04}").as_bytes(), 0, OwnedBody::Fifo).as_entry()).unwrap();
    }
    assert!(builder.add_entry(&plain(b"9999", 0, OwnedBody::Fifo).as_entry()).is_err());
    let mut builder = SegmentBuilder::new(Kept::NONE);
    for n in 0..65u8 {
        builder.add_frame(FrameId::of(&[n]), 1).unwrap();
    }
    builder.add_frame(FrameId::of(&[64]), 1).unwrap();
    assert_eq!(builder.runs()[64].count, 2);
    assert!(builder.add_frame(FrameId::of(&[65]), 1).is_err());
    assert!(builder.add_frame(FrameId::of(&[64]), 2).is_err());
    assert!(builder.add_frame(FrameId::of(&[64]), 0).is_err());
    assert!(builder.add_frame(FrameId::of(&[64]), (1 << 20) + 1).is_err());
    assert!(SegmentBuilder::new(Kept::NONE).finish(false).is_err());
}

#[test]
fn a_segment_over_1_mib_is_refused() {
    let mut builder = SegmentBuilder::new(Kept::XATTRS);
    for n in 0..5u8 {
        let mut entry = plain(&[b'a' + n], 0, OwnedBody::Fifo);
        entry.xattrs = floe_format::XattrList::new([("user.x", vec![0; 250_000])]).unwrap();
        builder.add_entry(&entry.as_entry()).unwrap();
    }
    builder.add_frame(FrameId::of(b"x"), 1).unwrap();
    assert!(builder.finish(false).is_err());
    assert_eq!(kind(Segment::parse(&vec![0; (1 << 20) + 1])), Some(ErrorKind::Corrupt));
}

#[test]
fn entries_out_of_order_are_refused() {
    for (a, b) in [("b", "a"), ("a", "a"), ("a/b", "b"), ("a", "b/../c"), ("a", "")] {
        let mut builder = SegmentBuilder::new(Kept::NONE);
        builder.add_entry(&plain(a.as_bytes(), 0, OwnedBody::Fifo).as_entry()).unwrap();
        assert!(builder.add_entry(&plain(b.as_bytes(), 0, OwnedBody::Fifo).as_entry()).is_err(), "{a} {b}");
        // The same by hand: neither path shares a byte with the other, or says so.
        let mut bytes = b"FSEG\x01\x01\x00\x00\x00\x02\x01".to_vec();
        for path in [a, b] {
            bytes.extend_from_slice(&[5, 0, path.len() as u8]);
            bytes.extend_from_slice(path.as_bytes());
            bytes.push(0);
        }
        bytes.extend_from_slice(&[1, 1]);
        bytes.extend_from_slice(FrameId::of(b"x").as_bytes());
        assert_eq!(kind(decode(&bytes)), Some(ErrorKind::Corrupt), "{a} {b}");
    }
}

fn lengths(frames: &[u32]) -> Vec<(FrameId, u32)> {
    frames.iter().map(|&length| (FrameId::of(&length.to_le_bytes()), length)).collect()
}

#[test]
fn frames_hold_the_lead_and_the_entries() {
    let end = (FrameId::of(&TAR_END), 1024);
    let entry = file(b"a", 0o644, &[1; 1000]).0;
    let check = |lead, entries: &[Entry], frames: &[(FrameId, u32)], has_end| {
        let bytes = build(Kept::NONE, lead, entries, frames, has_end);
        Segment::parse(&bytes).unwrap().check()
    };
    let one = std::slice::from_ref(&entry);
    assert_eq!(tar_len(&entry.as_entry()), 1536);

    let whole = check(0, one, &lengths(&[1536]), false).unwrap();
    assert_eq!((whole.length, whole.lead, whole.unfinished), (1536, 0, 0));
    assert_eq!(whole.follow(0).unwrap(), 0);
    assert!(whole.follow(1).is_err());

    let cut_short = check(7, one, &lengths(&[519]), false).unwrap();
    assert_eq!((cut_short.length, cut_short.lead, cut_short.unfinished), (519, 7, 1024));
    assert_eq!(cut_short.follow(7).unwrap(), 1024);
    assert!(cut_short.follow(8).is_err() && cut_short.follow(0).is_err());

    let only_lead = check(1000, &[], &lengths(&[600, 400]), false).unwrap();
    assert_eq!(only_lead.follow(1024).unwrap(), 24);
    assert_eq!(only_lead.follow(1000).unwrap(), 0);
    assert!(only_lead.follow(999).is_err());

    let lead_and_end = check(24, &[], &[lengths(&[24])[0], end], true).unwrap();
    assert_eq!(lead_and_end.follow(24).unwrap(), 0);
    assert!(lead_and_end.follow(25).is_err());
    let empty_tree = check(0, &[], &[end], true).unwrap();
    assert_eq!((empty_tree.length, empty_tree.follow(0).unwrap()), (1024, 0));

    for (lead, entries, frames, has_end, what) in [
        (0, one, lengths(&[1537]), false, "too long"),
        (0, one, lengths(&[511]), false, "a header cut short"),
        (0, &[], lengths(&[5]), false, "bytes of nothing"),
        (6, &[], lengths(&[5]), false, "a lead that is too long"),
        (0, one, lengths(&[1536, 1024]), true, "an end that is none"),
        (0, one, vec![lengths(&[1024])[0], end], true, "a file cut short before the end"),
        (0, one, vec![lengths(&[1536])[0], end], false, "an end without flag"),
    ] {
        assert_eq!(kind(check(lead, entries, &frames, has_end)), Some(ErrorKind::Corrupt), "{what}");
    }
}

#[test]
fn lengths_do_not_overflow() {
    let id = FrameId::of(b"x");
    let body = OwnedBody::File { size: 1 << 60, hash: Some(ContentHash::of(b"")) };
    let entries: Vec<Entry> = (0..100u8).map(|n| plain(&[n + 128], 0, body.clone())).collect();
    let run = |count| Run { count, plain_len: 1 << 20, id };
    for (count, entries) in
        [(u64::MAX, &entries[..]), (1 << 44, &entries[..]), (1 << 43, &entries[..]), (u64::MAX, &[])]
    {
        let mut builder = SegmentBuilder::new(Kept::NONE);
        for entry in entries {
            builder.add_entry(&entry.as_entry()).unwrap();
        }
        builder.add_run(run(count)).unwrap();
        let bytes = builder.finish(false).unwrap();
        assert_eq!(kind(Segment::parse(&bytes).unwrap().check()), Some(ErrorKind::Corrupt));
    }
    let mut builder = SegmentBuilder::new(Kept::NONE);
    builder.add_run(run(u64::MAX)).unwrap();
    assert!(builder.add_run(run(1)).is_err());
}

#[test]
fn what_is_not_kept_is_not_taken() {
    let entry = trees::file(b"a", 0o644, b"x").0;
    assert!(SegmentBuilder::new(Kept::MTIME).add_entry(&entry.as_entry()).is_err());
    let later = EntryRef { body: Body::HardLink { target: b"b" }, ..entry.as_entry() };
    assert!(SegmentBuilder::new(Kept::NONE).add_entry(&later).is_err());
    // The same by hand: `a` is a hard link to `b`.
    let mut bytes = b"FSEG\x01\x01\x00\x00\x00\x01\x01\x04\x00\x01a\x00\x01b\x01\x01".to_vec();
    bytes.extend_from_slice(FrameId::of(b"x").as_bytes());
    assert_eq!(kind(decode(&bytes)), Some(ErrorKind::Corrupt));
}
