use super::*;

#[test]
fn entries_in_any_order_with_parents_missing_are_a_tree() {
    let tar = tar_of(&[file("z/y/x", "1"), file("./b", "2"), directory("z/"), file("a/deep", "3")]);
    let expected =
        ["Directory a", "File b =2", "Directory z", "File a/deep =3", "Directory z/y", "File z/y/x =1"];
    assert_eq!(lines(&tar), expected);
    let spool = read(&tar).unwrap();
    let made = stat_at(&spool, "z/y");
    assert_eq!((made.mode, made.modified.seconds, made.uid), (0o755, 0, 0));
    let told = stat_at(&spool, "z");
    assert_eq!((told.mode, told.modified.seconds, told.uid, told.gid), (0o640, 1_000_000_007, 11, 12));
    let root = *spool.listings().next().unwrap().unwrap().stat();
    assert_eq!((root.mode, root.modified.seconds), (0o755, 0));
}

#[test]
fn the_root_may_be_told() {
    for name in [".", "./", "././"] {
        let spool = read(&tar_of(&[directory(name)])).unwrap();
        let listings: Vec<_> = spool.listings().map(Result::unwrap).collect();
        assert_eq!(listings.len(), 1);
        assert_eq!(listings[0].stat().mode, 0o640);
    }
    assert_eq!(lines(&tar_of(&[])), [""; 0]);
}

#[test]
fn of_a_repeated_name_the_last_wins() {
    let tar =
        tar_of(&[file("a", "1"), directory("b"), file("a", "2"), file("b", "3"), entry(b'2', "b", "t", b"")]);
    assert_eq!(lines(&tar), ["File a =2", "Symlink b ->t"]);
    // A directory that is told again is not emptied.
    assert_eq!(lines(&tar_of(&[file("d/f", "1"), directory("d")])), ["Directory d", "File d/f =1"]);
}

#[test]
fn a_hard_link_is_the_file_that_had_the_name_then() {
    let link = |name, target| entry(b'1', name, target, b"");
    assert_eq!(lines(&tar_of(&[file("b", "1"), link("a", "./b")])), ["File a =1 #2", "File b =1 #2"]);
    let replaced = tar_of(&[file("a", "1"), link("b", "a"), file("a", "2"), link("c", "a")]);
    assert_eq!(lines(&replaced), ["File a =2 #2", "File b =1", "File c =2 #2"]);
    let before_its_file = tar_of(&[link("b", "a"), link("c", "b"), file("a", "1")]);
    assert_eq!(lines(&before_its_file), ["File a =1 #3", "File b =1 #3", "File c =1 #3"]);
    assert_eq!(lines(&tar_of(&[file("a", "1"), link("a", "a")])), ["File a =1"]);
    let to_a_symlink = tar_of(&[entry(b'2', "a", "t", b""), link("b", "a")]);
    assert_eq!(lines(&to_a_symlink), ["Symlink a ->t", "Symlink b ->t"]);
}

#[test]
fn every_type_is_known() {
    let tar = tar_of(&[
        file("file", "1"),
        entry(0, "oldest", "", b"2"),
        entry(b'7', "contiguous", "", b"3"),
        entry(0, "olddir/", "", b""),
        entry(b'3', "char", "", b""),
        entry(b'4', "block", "", b""),
        entry(b'6', "fifo", "", b""),
    ]);
    let expected = [
        "BlockDevice block",
        "CharDevice char",
        "File contiguous =3",
        "Fifo fifo",
        "File file =1",
        "Directory olddir",
        "File oldest =2",
    ];
    assert_eq!(lines(&tar), expected);
    assert_eq!(stat_at(&read(&tar).unwrap(), "char").special, 4 << 32 | 5);
}

/// As `tar --label` and `tar --listed-incremental` write them in GNU's format.
#[test]
fn labels_are_left_out_and_dumped_directories_are_directories() {
    let tar = tar_of(&[
        entry(b'V', "/backup of ..", "", b""),
        entry(b'D', "d/", "", b"Yfile\0Nother\0\0"),
        file("d/file", "1"),
        entry(b'D', "./", "", b"Dd\0\0"),
    ]);
    assert_eq!(lines(&tar), ["Directory d", "File d/file =1"]);
    let spool = read(&tar).unwrap();
    assert_eq!((stat_at(&spool, "d").mode, stat_at(&spool, "").mode), (0o640, 0o640));
}

#[test]
fn what_is_compressed_is_told_however_short_it_is() {
    for length in [8, 511, 512, 2_000] {
        let mut input = b"\x1f\x8b\x08\0".to_vec();
        input.resize(length, 7);
        let message = read(&input).unwrap_err().to_string();
        assert!(message.contains("compressed with gzip") && message.contains("`zcat FILE |"), "{message}");
    }
}

#[test]
fn pax_records_take_the_place_of_fields() {
    let long = "d/".repeat(200) + "name";
    let records = [
        ("path", &*long),
        ("mtime", "-1.25"),
        ("uid", "4000000000"),
        ("size", "3"),
        ("SCHILY.xattr.user.x", "v=\n"),
    ];
    let tar = tar_of(&[
        pax(b'g', &[("mtime", "77"), ("comment", "of no consequence")]),
        pax(b'x', &records),
        // The header lies about the length, as it has to where that is too long for it.
        sized(b'0', "short", "", 0, b"abc"),
        file("next", "n"),
        pax(b'x', &[("linkpath", "a very long target"), ("path", "")]),
        entry(b'2', "link", "short", b""),
    ]);
    let spool = read(&tar).unwrap();
    let stat = stat_at(&spool, &long);
    assert_eq!((stat.size, stat.uid, stat.gid), (3, 4_000_000_000, 12));
    assert_eq!((stat.modified.seconds, stat.modified.nanos), (-2, 750_000_000));
    let (parent, name) = floe_format::parent_and_name(long.as_bytes());
    assert_eq!(spool.xattrs(parent, name).unwrap(), XattrList::new([("user.x", "v=\n")]).unwrap());
    assert_eq!(spool.xattrs(b"", b"next").unwrap(), XattrList::default());
    assert_eq!(stat_at(&spool, "next").modified.seconds, 77);
    assert_eq!(spool.read_link(b"", b"link").unwrap().0, b"a very long target");
}

#[test]
fn long_gnu_names_are_names() {
    let long = "d/".repeat(150) + "name";
    let tar = tar_of(&[
        entry(b'L', "././@LongLink", "", format!("{long}\0").as_bytes()),
        entry(b'K', "././@LongLink", "", format!("{}\0", "t".repeat(300)).as_bytes()),
        entry(b'2', "cut", "cut", b""),
    ]);
    assert_eq!(lines(&tar).last().unwrap(), &format!("Symlink {long} ->{}", "t".repeat(300)));
}

#[test]
fn sparse_files_are_whole() {
    let data = [vec![b'x'; 512], b"tail".to_vec()].concat();
    let expected = [vec![0; 600], vec![b'x'; 512], vec![0; 88], b"tail".to_vec(), vec![0; 96]].concat();
    let map = |numbers: &str| [format!("{numbers:\0<512}").into_bytes(), data.clone()].concat();
    let with = |records: &[(&str, &str)], name, content: &[u8]| {
        tar_of(&[pax(b'x', records), entry(b'0', name, "", content), file("z", "after")])
    };
    let version_0_0 = [
        ("GNU.sparse.size", "1300"),
        ("GNU.sparse.numblocks", "2"),
        ("GNU.sparse.offset", "600"),
        ("GNU.sparse.numbytes", "512"),
        ("GNU.sparse.offset", "1200"),
        ("GNU.sparse.numbytes", "4"),
    ];
    let version_0_1 =
        [("GNU.sparse.size", "1300"), ("GNU.sparse.name", "s"), ("GNU.sparse.map", "600,512,1200,4,1300,0")];
    let version_1_0 = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "s"),
        ("GNU.sparse.realsize", "1300"),
    ];
    for tar in [
        with(&version_0_0, "s", &data),
        with(&version_0_1, "GNUSparseFile.1/s", &data),
        with(&version_1_0, "GNUSparseFile.1/s", &map("2\n600\n512\n1200\n4\n")),
    ] {
        let spool = read(&tar).unwrap();
        let mut found = vec![1; 2000];
        let count = spool.open_file(b"", b"s").unwrap().fill(&mut found).unwrap();
        assert!(found[..count] == expected, "{}", found[..count].escape_ascii());
        assert_eq!(describe(&spool).last().unwrap(), "File z =after");
    }
}

#[test]
fn patterns_and_sizes_leave_entries_out() {
    let tar = tar_of(&[
        file("a/keep", "1"),
        file("a/sub/x", "2"),
        file("large", "123456789"),
        entry(b'1', "also", "large", b""),
        file("b/drop.o", "3"),
        entry(b'1', "b/kept", "b/drop.o", b""),
        file(".gitignore", "keep"),
    ]);
    let exclusions = Exclusions {
        globs: vec!["sub/".into(), "*.o".into()],
        larger_than_bytes: Some(8),
        ..Exclusions::default()
    };
    let spool = read_with(&tar, &exclusions).unwrap();
    let expected =
        ["File .gitignore =keep", "Directory a", "Directory b", "File a/keep =1", "File b/kept =3"];
    assert_eq!(describe(&spool), expected);
    for refused in [
        Exclusions { gitignore: true, ..Exclusions::default() },
        Exclusions { caches: true, ..Exclusions::default() },
        Exclusions { one_file_system: true, ..Exclusions::default() },
    ] {
        assert_eq!(read_with(&tar, &refused).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn a_directory_of_many_is_listed_in_parts() {
    let entries: Vec<_> = (0..9_000).rev().map(|index| file(&format!("d/{index:04}"), "")).collect();
    let spool = read(&tar_of(&entries)).unwrap();
    let parts: Vec<_> = spool
        .listings()
        .map(|listing| {
            let listing = listing.unwrap();
            (listing.path().to_vec(), listing.children().len(), listing.is_first(), listing.is_last())
        })
        .collect();
    let d = b"d".to_vec();
    let expected = [
        (vec![], 1, true, true),
        (d.clone(), 4096, true, false),
        (d.clone(), 4096, false, false),
        (d, 808, false, true),
    ];
    assert_eq!(parts, expected);
    assert_eq!(describe(&spool).len(), 9_001);
}
