use floe_testkit::bytes_of;

use super::*;
use crate::source::spool::blocks::BLOCK_BYTES;
use crate::source::spool::header::Fields;

fn refused(tar: &[u8]) -> String {
    match read(tar) {
        Ok(spool) => panic!("it was taken: {:?}", describe(&spool)),
        Err(e) => {
            assert!(matches!(e.kind(), ErrorKind::Invalid | ErrorKind::Unsupported), "{e}");
            e.to_string()
        }
    }
}

#[track_caller]
fn assert_refused(entries: &[Vec<u8>], because: &str) {
    let message = refused(&tar_of(entries));
    assert!(message.contains(because), "{message}");
}

/// An entry of every kind, and every way to say something about one.
fn all_kinds() -> Vec<u8> {
    tar_of(&[
        directory("./"),
        pax(b'g', &[("comment", "abc")]),
        pax(b'x', &[("path", "d/long"), ("mtime", "1.5"), ("SCHILY.xattr.user.a", "b")]),
        entry(b'0', "short", "", &[b'c'; 1500]),
        directory("d/"),
        entry(b'L', "L", "", b"d/gnu-name\0"),
        entry(b'K', "K", "", b"target\0"),
        entry(b'2', "link", "", b""),
        entry(b'1', "hard", "d/long", b""),
        entry(b'3', "char", "", b""),
        entry(b'4', "block", "", b""),
        entry(b'6', "fifo", "", b""),
        pax(b'x', &[("GNU.sparse.size", "1300"), ("GNU.sparse.name", "s"), ("GNU.sparse.map", "600,512")]),
        entry(b'0', "sparse", "", &[b'y'; 512]),
    ])
}

#[test]
fn i7_what_leaves_the_tree_is_refused() {
    for name in ["../a", "a/../../b", "..", "a/.."] {
        assert_refused(&[file(name, "")], "goes up with `..`");
        assert_refused(&[pax(b'x', &[("path", name)]), file("a", "")], "goes up with `..`");
        assert_refused(&[entry(b'L', "L", "", name.as_bytes()), file("a", "")], "goes up with `..`");
        assert_refused(&[file("a", ""), entry(b'1', "b", name, b"")], "goes up with `..`");
    }
    assert_refused(&[file("/etc/passwd", "")], "absolute path");
    assert_refused(&[file("a", ""), entry(b'1', "b", "/etc/passwd", b"")], "absolute path");
    assert_refused(
        &[file("a", ""), pax(b'x', &[("linkpath", "../x")]), entry(b'1', "b", "a", b"")],
        "goes up with `..`",
    );
}

#[test]
fn i7_what_is_below_no_directory_is_refused() {
    let symlink = entry(b'2', "a", "/etc", b"");
    for entries in [
        vec![symlink.clone(), file("a/b", "")],
        vec![file("a/b", ""), symlink.clone()],
        vec![symlink, file("a/b/c/d", "")],
        vec![file("a", ""), file("a/b", "")],
        vec![directory("a"), file("a/b", ""), file("a", "")],
        vec![file("x", ""), entry(b'1', "a", "x", b""), file("a/b", "")],
    ] {
        assert_refused(&entries, "is not a directory");
    }
}

#[test]
fn i7_hard_links_to_nothing_are_refused() {
    assert_refused(&[entry(b'1', "a", "b", b"")], "names nothing");
    assert_refused(&[entry(b'1', "a", "a", b"")], "comes back to itself");
    assert_refused(&[entry(b'1', "a", "b", b""), entry(b'1', "b", "a", b"")], "comes back to itself");
    assert_refused(&[directory("d"), entry(b'1', "a", "d", b"")], "names a directory");
    assert_refused(&[file("d/f", ""), entry(b'1', "a", "d", b"")], "names nothing");
    assert_refused(&[entry(b'1', "a", ".", b"")], "the root");
    assert_refused(&[file("b", ""), entry(b'1', "a", "b", b"content")], "content");
    // A long chain is followed one link at a time.
    let chain = (0..20_000).map(|index| entry(b'1', &format!("{index}"), &format!("{}", index + 1), b""));
    assert_refused(&chain.collect::<Vec<_>>(), "names nothing");
}

#[test]
fn i7_what_programs_disagree_on_is_refused() {
    let path = || pax(b'x', &[("path", "x")]);
    assert_refused(&[path(), path(), file("a", "")], "two PAX headers");
    assert_refused(&[entry(b'L', "L", "", b"y"), path(), file("a", "")], "two names");
    assert_refused(
        &[entry(b'L', "L", "", b"y"), entry(b'L', "L", "", b"y"), file("a", "")],
        "two long names",
    );
    assert_refused(&[entry(b'L', "L", "", b"a\0b"), file("a", "")], "NUL");
    assert_refused(&[pax(b'g', &[("path", "x")]), file("a", "")], "global");
    assert_refused(&[file("a", ""), path()], "about another entry");
    assert_refused(&[directory("a"), entry(b'5', "b", "", b"content")], "content");
    assert_refused(&[entry(b'0', "a/", "", b"content")], "content");
    assert_refused(&[entry(b'2', ".", "x", b"")], "root");
    assert_refused(&[entry(b'2', "a", "", b"")], "no target");
    for kind in [b'M', b'N', b'X', b'A', 0xff] {
        assert_refused(&[entry(kind, "a", "", b"")], "which is not known");
    }
    let mut two = tar_of(&[file("a", "")]);
    two.extend(tar_of(&[file("b", "")]));
    assert!(refused(&two).contains("follows its end"));
}

#[test]
fn i7_lengths_that_lie_are_refused() {
    for size in ["1152921504606846977", "9223372036854775807", "9223372036854775808", "18446744073709551615"]
    {
        assert_refused(&[pax(b'x', &[("size", size)]), file("a", "")], "no length that a file can have");
    }
    assert_refused(&[pax(b'x', &[("size", "18446744073709551616")]), file("a", "")], "cannot be read");
    assert_refused(&[pax(b'x', &[("size", "1152921504606846976")]), file("a", "")], "cut short");
    for size in [1 << 40, 1 << 60, (1 << 63) - 1, 1 << 63, u64::MAX] {
        refused(&sized(b'0', "a", "", size, b"abc"));
        for kind in [b'x', b'g', b'L', b'K'] {
            assert!(refused(&sized(kind, "a", "", size, b"abc")).contains("a header of"), "{size}");
        }
    }
    assert!(refused(&sized(b'x', "a", "", 1 << 20, b"abc")).contains("cut short"));
}

#[test]
fn i7_sparse_files_that_lie_are_refused() {
    let with = |records: &[(&str, &str)]| {
        tar_of(&[pax(b'x', records), entry(b'0', "a", "", &[b'x'; 512]), file("z", "")])
    };
    for (size, map) in [
        ("9223372036854775807", "0,512"),
        ("1152921504606846976", "0,512"),
        ("2199023255552", "0,512"),
        ("511", "0,512"),
        ("600", "512,512"),
        ("600", "0,511"),
        ("600", "18446744073709551615,512"),
        ("600", "0"),
        ("600", "0,"),
    ] {
        refused(&with(&[("GNU.sparse.size", size), ("GNU.sparse.map", map)]));
    }
    refused(&with(&[("GNU.sparse.map", "0,512")]));
    refused(&with(&[("GNU.sparse.numbytes", "512"), ("GNU.sparse.size", "512")]));
    refused(&with(&[("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "512")]));
    refused(&with(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "512")]));
    // Together they claim more than one alone may.
    let half = [("GNU.sparse.size", "900000000000"), ("GNU.sparse.map", "0,512")];
    let one = || [pax(b'x', &half), entry(b'0', "a", "", &[b'x'; 512])].concat();
    assert_refused(&[one(), one()], "holes");
}

#[test]
fn i7_a_tar_that_is_cut_short_is_refused() {
    let tar = all_kinds();
    read(&tar).unwrap();
    for length in (0..tar.len()).step_by(BLOCK_BYTES) {
        let message = refused(&tar[..length]);
        assert!(message.contains(if length == 0 { "empty" } else { "cut short" }), "{length}: {message}");
        refused(&tar[..length + 1]);
        refused(&tar[..length + BLOCK_BYTES - 1]);
    }
}

#[test]
fn i7_a_damaged_header_is_refused_or_means_the_same() {
    let tar = all_kinds();
    let whole = describe(&read(&tar).unwrap());
    for at in 0..tar.len() {
        let mut damaged = tar.clone();
        damaged[at] ^= 1 << (at % 8);
        let block = at / BLOCK_BYTES * BLOCK_BYTES;
        // What is not a header is content, which nothing in a tar vouches for.
        let is_header = tar[block + 257..block + 262] == *b"ustar";
        if let Ok(spool) = read(&damaged)
            && is_header
        {
            assert_eq!(describe(&spool), whole, "byte {at}");
        }
    }
}

#[test]
fn i7_every_damage_of_one_header_is_found() {
    let tar = tar_of(&[entry(b'2', "name", "target", b"")]);
    let whole = lines(&tar);
    let mut harmless = 0;
    for at in 0..BLOCK_BYTES {
        for value in 0..=255 {
            let mut block: [u8; BLOCK_BYTES] = tar[..BLOCK_BYTES].try_into().unwrap();
            block[at] = value;
            // Without a right checksum nothing else of a header is looked at.
            if Fields::new(&block).is_some() {
                assert_eq!(lines(&[&block, &tar[BLOCK_BYTES..]].concat()), whole, "byte {at}, value {value}");
                harmless += usize::from(value != tar[at]);
            }
        }
    }
    // In the checksum's own field: what stands for a zero, and what is behind its end.
    assert!((1..2_000).contains(&harmless), "{harmless}");
}

#[test]
fn i7_fields_of_any_bytes_are_no_panic() {
    // With a checksum that is right, so that the fields themselves are looked at.
    let tar = all_kinds();
    let mut seed = 0;
    for header in (0..tar.len()).step_by(BLOCK_BYTES) {
        for field in [
            100..108,
            108..116,
            116..124,
            124..136,
            136..148,
            156..157,
            157..257,
            257..265,
            329..345,
            345..512,
        ] {
            for round in 0..8 {
                let mut changed = tar.clone();
                let block = &mut changed[header..header + BLOCK_BYTES];
                seed += 1;
                for (byte, random) in block[field.clone()].iter_mut().zip(bytes_of(seed, field.len())) {
                    *byte = [random, 0xff, 0x80, b'7', b' ', random | 0x80, random % 8 + b'0', 0][round];
                }
                block[148..156].fill(b' ');
                let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                let _ = read(&changed);
            }
        }
    }
}

#[test]
fn what_is_no_tar_is_told_so() {
    assert!(refused(b"").contains("empty"));
    assert!(refused(&[7; 5000]).contains("not a tar"));
    for (magic, format) in [(&b"\x1f\x8b\x08"[..], "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh9", "bzip2")]
    {
        let mut bytes = vec![9; 1000];
        bytes[..magic.len()].copy_from_slice(magic);
        assert!(refused(&bytes).contains(format));
    }
}

#[test]
fn i7_a_path_of_missing_directories_costs_no_more_than_its_length() {
    let deep = "a/".repeat(30_000) + "f";
    let entries: Vec<_> = (0..3)
        .flat_map(|index| [entry(b'L', "L", "", format!("{index}/{deep}").as_bytes()), file("f", "")])
        .collect();
    let message = refused(&tar_of(&entries));
    assert!(message.contains("too many to make"), "{message}");
    assert_eq!(read(&tar_of(&entries[..2])).unwrap().tree.places().len(), 30_002);
}
