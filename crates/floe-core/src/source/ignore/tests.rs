//! What is left out, shown by the paths that are left.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Mode;

use super::*;
use crate::source::{Walk, WalkOptions};

/// Makes a tree of these: `dir/` or `file` or `file=contents`.
fn tree(entries: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for entry in entries {
        let (path, contents) = entry.split_once('=').unwrap_or((entry, ""));
        let path = root.path().join(path);
        if entry.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
        } else {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, contents).unwrap();
        }
    }
    root
}

fn try_walk(root: &Path, exclusions: Exclusions) -> Result<String> {
    let options = WalkOptions { exclusions, ..WalkOptions::default() };
    let mut paths = Vec::new();
    for listing in Walk::new(root, &options)? {
        let listing = listing?;
        let directory = String::from_utf8(listing.path().to_vec()).unwrap();
        for child in listing.children() {
            let name = std::str::from_utf8(child.name).unwrap();
            paths.push(if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") });
        }
    }
    Ok(paths.join(" "))
}

fn walk(root: &tempfile::TempDir, exclusions: Exclusions) -> String {
    try_walk(root.path(), exclusions).unwrap()
}

fn globs(globs: &[&str]) -> Exclusions {
    Exclusions { globs: globs.iter().map(|&glob| glob.to_owned()).collect(), ..Exclusions::default() }
}

#[test]
fn floeignore_holds_at_every_level_and_the_deepest_wins() {
    let root = tree(&[
        ".floeignore=*.log\n/top\nbuild/\n",
        "a.log",
        "build/x",
        "top",
        "sub/.floeignore=!keep.log\nlocal\n",
        "sub/keep.log",
        "sub/other.log",
        "sub/local",
        "sub/top",
        "sub/build",
        "local",
    ]);
    assert_eq!(
        walk(&root, Exclusions::default()),
        ".floeignore local sub sub/.floeignore sub/build sub/keep.log sub/top"
    );
}

#[test]
fn what_is_in_an_excluded_directory_cannot_be_brought_back() {
    let root = tree(&[".floeignore=out/\n!out/keep\n", "out/keep", "in"]);
    assert_eq!(walk(&root, Exclusions::default()), ".floeignore in");
}

#[test]
fn gitignore_files_count_only_when_asked_for_and_below_floeignore() {
    let root = tree(&[
        ".gitignore=*.o\ndist\n",
        ".floeignore=!dist\n",
        ".git/info/exclude=named\n",
        "named",
        "a.o",
        "dist/x",
        "sub/.gitignore=!b.o\n",
        "sub/b.o",
    ]);
    let all = ".floeignore .git .gitignore a.o dist named sub .git/info .git/info/exclude dist/x sub/.gitignore sub/b.o";
    assert_eq!(walk(&root, Exclusions::default()), all);
    let gitignore = Exclusions { gitignore: true, ..Exclusions::default() };
    assert_eq!(walk(&root, gitignore), all.replace("a.o ", ""));
}

#[test]
fn globs_come_before_every_file_and_in_their_order() {
    let root = tree(&[".floeignore=a\n", "a", "b", "c", "d/e", "f.x", "f.y", "f.z"]);
    let mut exclusions = globs(&["!a", "/b", "*.{x,y}"]);
    let contents = b"\xef\xbb\xbfd/*\r\n# comment\n\nc\n!c\n".to_vec();
    exclusions.files.push(ExcludeFile { name: "list".into(), contents });
    assert_eq!(walk(&root, exclusions), ".floeignore a c d f.z");
}

#[test]
fn braces_in_ignore_files_are_those_of_git() {
    let root =
        tree(&[".floeignore={{cookie}}\n[{]x\n\\{y\n", "{{cookie}}/x", "cookie", "{x", "{y", "y", "x"]);
    assert_eq!(walk(&root, Exclusions::default()), ".floeignore cookie x y");
}

/// Whatever git says of these patterns is what a push does: malformed ones leave nothing out, here or below.
#[test]
fn patterns_of_gitignore_files_are_those_of_git() {
    let patterns = [
        "a[[:digit:]]",
        "b[[:alpha:]-]",
        "c[![:space:]]",
        "d[]-]",
        "e[\\]]",
        "f[z-a]",
        "g[z-ax]",
        "h[[:what:]]",
        "i[",
        "j\\",
        "k[[:digit]",
        "l[\\!]",
        "m[^!]",
        "n[a/]x",
        "o[!b]p",
        "q[[:punct:]]",
        "[[:upper:]]*.r",
        "s[a\\-c]",
        "!t[",
        "u[--0]",
        "v[+--]",
        "w[ä]",
    ];
    let names = [
        "a1", "ax", "b-", "bx", "b1", "c ", "cx", "d]", "d-", "dx", "e]", "ex", "fz", "f[z-a]", "gx", "gz",
        "hw", "i[", "i", "j", "j\\", "k:", "k1", "kd]", "l!", "lx", "m!", "mx", "nax", "o/p", "oap", "obp",
        "q!", "qx", "X.r", "x.r", "sa", "sb", "s-", "t[", "u.", "u1", "v,", "v.", "after", "x/after",
    ];
    let root = tree(&names);
    std::fs::write(root.path().join("x/.gitignore"), patterns.join("\n") + "\nafter\n").unwrap();
    for name in names.iter().filter(|name| !name.contains("x/")) {
        let path = root.path().join("x").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    std::fs::write(root.path().join(".gitignore"), b"bad[\n\xff\nafter\n").unwrap();
    assert_is_as_in_git(root.path());
}

/// What anchors a pattern is told by its own line, not by what it is written as for the matcher.
#[test]
fn patterns_of_gitignore_files_hold_as_deep_as_those_of_git() {
    let names =
        ["ab", "ac", "ad", "dh", ".env.local", ".env.ext", "x", "x.y", "y", "ax", "xa", "secret", "!", "axy"];
    let root = tree(&["d/ab/", "s/d/", "s/ac/ad/", "d/s/"]);
    for directory in ["", "s/", "s/d/", "d/", "d/s/", "d/ab/", "s/ac/ad/"] {
        for path in names.map(|name| root.path().join(directory).join(name)) {
            if !path.is_dir() {
                std::fs::write(path, "").unwrap();
            }
        }
    }
    for patterns in [
        "a[!c]",
        "a[^c]",
        "?[!a]",
        "[!a-z]h",
        "[!a-c]h",
        ".env.[!e]*",
        "*[!y]",
        "!a[!c]",
        "a[!c]/",
        "/a[!c]",
        "s/a[!c]",
        "/s/?[!a]",
        "**/a[!c]",
        "s/**/a[!c]",
        "[!x]/ab",
        "s[/]ab",
        "a[c/]",
        "\\a[!b]",
        "*[!.]*",
        "[!s]\n!d",
        "*\n!*[!b]",
        "*\n!*/\n!a[!c]",
    ] {
        for ignore in [".gitignore", "s/.gitignore"] {
            std::fs::write(root.path().join(ignore), patterns).unwrap();
            assert_is_as_in_git(root.path());
        }
        std::fs::write(root.path().join("s/.gitignore"), "").unwrap();
    }
}

/// Spaces at their ends, and lines that say nothing.
#[test]
fn lines_of_gitignore_files_are_those_of_git() {
    let names = [
        "secret",
        "secret ",
        "secret\t",
        "secret\r",
        "secret\r\r",
        "secret\u{b}",
        "secret\u{c}",
        "secret\u{a0}",
        "secret\\",
        "secret\\ ",
        "!secret",
        " secret",
        "#secret",
        "!",
        " ",
        "\r",
        "\t",
        "d/secret",
        "d/e/secret",
        "d/e/f/secret",
        "secrets/secret",
        "dsecret/secret",
        "d/secret ",
    ];
    let root = tree(&names);
    for lines in [
        "secret\n!\n",
        "secret\n! \n",
        "secret\n!/\n",
        "secret\n!\t\n",
        "secret\n/\n!//\n",
        "*\n!\r\n",
        "secret \n",
        "secret  \n",
        "secret\\ \n",
        "secret\\  \n",
        "secret\\\\ \n",
        "secret\\\\\\  \n",
        "secret\\",
        "secret\t\n",
        "secret\t \n",
        "secret \t\n",
        "secret\u{b}\n",
        "secret\u{c}\n",
        "secret\u{a0}\n",
        "secret\r\n",
        "secret\r\r\n",
        "secret \r\n",
        "secret\r \n",
        "secret\r",
        "\r\n",
        "secret\r\r\r\n",
        " \n\t\n",
        "!secret\n",
        "\\!secret\n",
        "!!secret\n",
        "*\n!!secret\n",
        " secret\n",
        "#secret\n",
        "\\#secret\n",
        "\u{feff}secret\n",
        "\u{feff}#secret\n",
        "\u{feff}\u{feff}secret\n",
        "secret\0x\n",
        "/****/secret\n",
        "/****/\n",
        "****/secret\n",
        "**//secret\n",
        "**//\n",
        "**\\/secret\n",
        "**\\/d\n",
        "d/**\\/secret\n",
        "d**/secret\n",
        "/d**\\/secret\n",
        "\\d**/secret\n",
        "d/e**/secret\n",
        "?**/secret\n",
        "/secret**\n",
        "//secret\n",
        "d//secret\n",
        "d/***/secret\n",
        "d/**/**/secret\n",
        "d/**/\n",
        "d/**\n",
        "d/***\n",
        "/**\n",
        "/***\n",
        "**\n",
        "***\n",
        "/**/\n",
        "**/\n",
        "d**\n",
        "**d\n",
        "/d*/secret\n",
        "*/**/secret\n",
        "d\\/secret\n",
        "secret\\/\n",
        "\\/secret\n",
        "d/\\*\\*\n",
        "**/e/**\n",
        "/*/e**\n",
        "*d/e*/secret\n",
        "?/?/secret\n",
    ] {
        std::fs::write(root.path().join(".gitignore"), lines).unwrap();
        assert_is_as_in_git(root.path());
    }
}

/// Compares the files that a walk with `.gitignore` finds with those that git does.
fn assert_is_as_in_git(root: &Path) {
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(root).args(arguments);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").output()
    };
    if !root.join(".git").exists() {
        let Ok(made) = git(&["init", "-q", "--template="]) else {
            return floe_testkit::skip("no git on this machine");
        };
        assert!(made.status.success());
    }
    let listed = git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).unwrap();
    let listed = listed.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    let mut expected: Vec<_> = listed.map(|path| path.escape_ascii().to_string()).collect();
    let mut found = Vec::new();
    let exclusions = Exclusions { gitignore: true, ..Exclusions::default() };
    for listing in Walk::new(root, &WalkOptions { exclusions, ..WalkOptions::default() }).unwrap() {
        let listing = listing.unwrap();
        for child in listing.children().filter(|child| child.stat.kind == FileKind::File) {
            let slash: &[u8] = if listing.path().is_empty() { b"" } else { b"/" };
            found.push([listing.path(), slash, child.name].concat().escape_ascii().to_string());
        }
    }
    found.retain(|path| !path.starts_with(".git/"));
    expected.sort();
    found.sort();
    let patterns = std::fs::read(root.join(".gitignore")).unwrap();
    assert_eq!(found, expected, "{}", patterns[..patterns.len().min(500)].escape_ascii());
}

/// To git and to the kernel names are bytes.
#[test]
fn bytes_that_are_no_characters_are_matched_as_in_git() {
    let root = tree(&[]);
    let names: [&[u8]; 10] = [
        b"caf\xe9.key",
        b"a.\xff",
        b"\xff",
        b"\xc3\xa4",
        b"\xc3\xa4x",
        b"x\xa4",
        b"\x80",
        b"x",
        b"\x01",
        b"d\xe9/\xe9",
    ];
    for name in names {
        let path = root.path().join(OsStr::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    let lines: [&[u8]; 16] = [
        b"caf\xe9.key",
        b"*.\xff",
        b"\xff\nx",
        b"?",
        b"??",
        b"[\xc3][\xa4]",
        b"[\xc3\xa4]",
        b"[\x80-\xff]",
        b"[!\x80-\xfe]",
        b"[[:alpha:]\x80]",
        b"*\xa4",
        b"\xc3*",
        b"d\xe9/",
        b"/d\xe9/\xe9",
        b"**/\xe9",
        b"*\n!\xc3\xa4\n!\x01",
    ];
    for lines in lines {
        std::fs::write(root.path().join(".gitignore"), lines).unwrap();
        assert_is_as_in_git(root.path());
    }
}

/// Lines that no matcher of all of them at once has room for, or that it refuses.
#[test]
fn whatever_is_in_a_gitignore_file_a_walk_goes_on_as_git_does() {
    let root = tree(&["b", "bx", "zz/y", "aaaa"]);
    for lines in [
        "a*".repeat(100_000) + "\nb\n",
        (0..20_000).map(|number| format!("[!a-c]x{number}*[a-h*?]?*\n")).collect::<String>() + "b\n",
        "[a-h*?]\n".repeat(20_000),
        "{".repeat(70_000) + "\n" + &"[".repeat(70_000) + "\n\\\nb\n",
        "**/".repeat(30_000) + "y\n",
    ] {
        std::fs::write(root.path().join(".gitignore"), lines).unwrap();
        assert_is_as_in_git(root.path());
    }
}

#[test]
fn globs_with_negated_classes_hold_at_every_depth() {
    let root = tree(&["a/ab", "a/b/ab", "a/b/ac", "ab"]);
    assert_eq!(walk(&root, globs(&["a[!c]"])), "a a/b a/b/ac");
    assert_eq!(walk(&root, globs(&["/a[!c]"])), "a a/ab a/b a/b/ab a/b/ac");
}

#[test]
fn git_itself_is_a_directory_like_any_other() {
    assert_eq!(walk(&tree(&[".git/HEAD"]), Exclusions::default()), ".git .git/HEAD");
}

#[test]
fn malformed_patterns_name_file_and_line() {
    let message = |exclusions, entries: &[&str]| {
        let error = try_walk(tree(entries).path(), exclusions).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    let found = message(globs(&["[x"]), &[]);
    assert!(found.contains("[x"), "{found}");
    let file = ExcludeFile { name: "list.txt".into(), contents: b"a\n\xff\n[z-a]\n".to_vec() };
    let found = message(Exclusions { files: vec![file], ..Exclusions::default() }, &[]);
    assert!(found.contains("list.txt, line 3"), "{found}");
    // What it was to keep out might be secret.
    let found = message(Exclusions::default(), &[".floeignore=a\n[\n"]);
    assert!(found.contains(".floeignore, line 2"), "{found}");
}

#[test]
fn malformed_lines_of_gitignore_files_leave_nothing_out() {
    let root = tree(&[".gitignore=[\nb\\\na\n[[:what:]]\n", "a", "b", "["]);
    let heeded = Exclusions { gitignore: true, ..Exclusions::default() };
    assert_eq!(walk(&root, heeded), ".gitignore [ b");
    let mut builder = PatternsBuilder::new(Dialect::Tree);
    let told: Vec<_> = add_lines(&mut builder, b"\xef\xbb\xbf[\r\nok\n\xff\nb\\").collect();
    assert_eq!(
        told,
        ["line 1: unclosed character class; missing ']'", "line 4: nothing follows the last \\"]
    );
}

#[test]
fn a_floeignore_that_is_no_file_is_an_error() {
    let root = tree(&["elsewhere=*\n", "d/"]);
    std::os::unix::fs::symlink("../elsewhere", root.path().join("d/.floeignore")).unwrap();
    let error = try_walk(root.path(), Exclusions::default()).unwrap_err();
    assert!(error.to_string().contains("d/.floeignore is not a regular file"), "{error}");
}

/// Those of a directory and of all above it are in memory at once.
#[test]
fn ignore_files_above_each_other_have_a_limit_together() {
    let line = |bytes: usize| "x".repeat(bytes);
    let (most, half) = (line(MAX_IGNORE_BYTES), line(MAX_IGNORE_BYTES / 2));
    assert!(try_walk(tree(&[&format!(".floeignore={most}")]).path(), Exclusions::default()).is_ok());
    let one = tree(&[&format!("d/.floeignore={most}x"), "d/e/x"]);
    let beside = tree(&[&format!("a/.floeignore={most}"), &format!("b/.floeignore={most}"), "b/c/x"]);
    assert!(try_walk(beside.path(), Exclusions::default()).is_ok());
    let above = [format!(".floeignore={half}"), format!("a/.gitignore={half}"), "a/b/.floeignore=y".into()];
    let above = tree(&above.each_ref().map(|entry| &**entry));
    assert!(try_walk(above.path(), Exclusions::default()).is_ok());
    let both = Exclusions { gitignore: true, ..Exclusions::default() };
    for (root, exclusions, name) in
        [(one, Exclusions::default(), "d/.floeignore"), (above, both, "a/b/.floeignore")]
    {
        let error = try_walk(root.path(), exclusions).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with(&format!("{name} and the ignore files above it")), "{error}");
    }
}

/// Whoever makes a tree can make patterns and names of which each takes long.
#[test]
fn matching_ends_where_all_together_takes_too_long() {
    let mut builder = PatternsBuilder::new(Dialect::Tree);
    let lines = format!("*{}b?\n", "a".repeat(100)).repeat(20);
    assert_eq!(add_lines(&mut builder, lines.as_bytes()).count(), 0);
    let floe = Some(builder.build());
    let rules = Arc::new(Rules { above: None, base: 2, floe, git: None, read_bytes: 0 });
    let filter = Filter::new(&Exclusions::default()).unwrap();
    let name = [b'a'; 255];
    let mut excluder = filter.excluder(Some(&rules), b"d").unwrap();
    assert!(!excluder.excludes(b"short", false).unwrap());
    assert_eq!(filter.spent.load(Ordering::Relaxed), 0);
    assert!(!excluder.excludes(&name, false).unwrap());
    assert!(filter.spent.load(Ordering::Relaxed) > STEPS_OF_EACH);
    filter.spent.store(MOST_STEPS, Ordering::Relaxed);
    assert!(!excluder.excludes(b"short", false).unwrap());
    let error = excluder.excludes(&name, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().starts_with("the patterns of d/.floeignore, or"), "{error}");
}

/// As many lines as there can be, each of which says something.
#[test]
fn ignore_files_take_memory_in_proportion_to_their_bytes() {
    let mut builder = PatternsBuilder::new(Dialect::Tree);
    let contents = "a\n?\n".repeat(10_000);
    assert_eq!(add_lines(&mut builder, contents.as_bytes()).count(), 0);
    let size = builder.build().size_bytes();
    assert!(size <= 13 * contents.len(), "{size}");
}

#[test]
fn a_fifo_called_floeignore_does_not_stop_the_walk() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(FLOE_IGNORE);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(try_walk(root.path(), Exclusions::default()).is_err());
}

#[test]
fn of_a_cache_the_directory_and_the_tag_are_kept() {
    let signature = std::str::from_utf8(CACHE_TAG_SIGNATURE).unwrap();
    let root = tree(&[
        &format!("cache/CACHEDIR.TAG={signature}\n# more"),
        "cache/data",
        "cache/deep/data",
        "fake/CACHEDIR.TAG=Signature: 8a477f597d28d172789f06886806bc5",
        "fake/data",
        "dir/CACHEDIR.TAG/data",
    ]);
    let caches = Exclusions { caches: true, ..Exclusions::default() };
    assert_eq!(
        walk(&root, caches),
        "cache dir fake cache/CACHEDIR.TAG dir/CACHEDIR.TAG dir/CACHEDIR.TAG/data fake/CACHEDIR.TAG fake/data"
    );
    assert!(walk(&root, Exclusions::default()).contains("cache/deep/data"));
}

#[test]
fn only_regular_files_are_too_large() {
    let root = tree(&["dir/ten=0123456789", "eleven=0123456789a"]);
    std::os::unix::fs::symlink("a target of 22 bytes..", root.path().join("link")).unwrap();
    let exclusions = Exclusions { larger_than_bytes: Some(10), ..Exclusions::default() };
    assert_eq!(walk(&root, exclusions), "dir link dir/ten");
}

#[test]
fn another_file_system_is_not_entered() {
    let root = tree(&["same/x"]);
    let exclusions = Exclusions { one_file_system: true, ..Exclusions::default() };
    assert_eq!(walk(&root, exclusions.clone()), "same same/x");

    let filter = Filter::new(&exclusions).unwrap();
    let directory = rustix::fs::open(root.path(), OFlags::RDONLY, Mode::empty()).unwrap();
    let stat = Stat::of_file(&directory).unwrap();
    assert!(filter.enters(&stat, stat.device));
    assert!(!filter.enters(&stat, stat.device + 1));
    assert!(Filter::new(&Exclusions::default()).unwrap().enters(&stat, stat.device + 1));
}

#[test]
fn a_file_is_of_another_file_system_only_where_it_is_mounted() {
    let root = tree(&["file"]);
    let exclusions = Exclusions { one_file_system: true, ..Exclusions::default() };
    let filter = Filter::new(&exclusions).unwrap();
    let directory = rustix::fs::open(root.path(), OFlags::RDONLY, Mode::empty()).unwrap();
    let (file, device) =
        (Stat::of_name(&directory, c"file").unwrap(), Stat::of_file(&directory).unwrap().device);
    assert!(!Stat::is_mount_point(&directory, c"file"));
    assert!(!filter.excludes_mounted(&file, device, || unreachable!("it is on the root's")));
    // As an overlay file system has it.
    assert!(!filter.excludes_mounted(&file, device + 1, || false));
    assert!(filter.excludes_mounted(&file, device + 1, || true));
    let all = Filter::new(&Exclusions::default()).unwrap();
    assert!(!all.excludes_mounted(&file, device + 1, || true));
}

#[test]
fn without_rules_nothing_is_asked_per_name() {
    let filter = Filter::new(&globs(&["", "!", "./"])).unwrap();
    assert!(filter.excluder(None, b"dir").is_none());
}

/// What the ignore files of this directory are when it is entered, and then.
fn entered(root: &tempfile::TempDir, meddle: impl FnOnce()) -> Option<&'static str> {
    let filter = Filter::new(&Exclusions { gitignore: true, ..Exclusions::default() }).unwrap();
    let directory = rustix::fs::open(root.path(), OFlags::RDONLY, Mode::empty()).unwrap();
    let names = Names::read(&directory, &mut Vec::new()).unwrap();
    let mut obeyed = Obeyed::default();
    let stat = Stat::of_file(&directory).unwrap();
    filter.enter(None, &directory, &stat, &names, Vec::new, &mut obeyed).unwrap();
    assert_eq!(obeyed.shaken(&directory), None);
    meddle();
    obeyed.shaken(&directory)
}

#[test]
fn an_ignore_file_that_is_not_the_one_that_was_read_is_told() {
    type Deed = fn(&Path);
    let deeds: [(&[&str], Deed, Option<&str>); 6] = [
        (&[".floeignore=a"], |_| (), None),
        (&[".floeignore=a"], |root| std::fs::write(root.join(".floeignore"), "").unwrap(), Some(FLOE_IGNORE)),
        (&[".gitignore="], |root| std::fs::write(root.join(".gitignore"), "a").unwrap(), Some(GIT_IGNORE)),
        (&[".gitignore="], |root| std::fs::remove_file(root.join(".gitignore")).unwrap(), Some(GIT_IGNORE)),
        // In a directory of which the times may stand still.
        (&["a"], |root| std::fs::write(root.join(".floeignore"), "a").unwrap(), Some(FLOE_IGNORE)),
        (&["a"], |root| std::fs::write(root.join("b"), "a").unwrap(), None),
    ];
    for (number, (entries, deed, told)) in deeds.into_iter().enumerate() {
        let root = tree(entries);
        assert_eq!(entered(&root, || deed(root.path())), told, "{number}");
    }
}

/// In whose place a regular file may come.
#[test]
fn a_gitignore_that_is_no_file_is_told_too_when_it_is_another() {
    type Deed = fn(&Path);
    let deeds: [(Deed, Option<&str>); 2] = [
        (|_| (), None),
        (|root| std::fs::rename(root.join("a"), root.join(".gitignore")).unwrap(), Some(GIT_IGNORE)),
    ];
    for (deed, told) in deeds {
        let root = tree(&["a"]);
        std::os::unix::fs::symlink("nothing", root.path().join(".gitignore")).unwrap();
        assert_eq!(entered(&root, || deed(root.path())), told);
    }
}

#[test]
fn a_gitignore_that_may_not_be_read_leaves_nothing_out_and_a_floeignore_is_an_error() {
    use rustix::thread::CapabilitySet;
    let mut sets = rustix::thread::capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    rustix::thread::set_capabilities(None, sets).unwrap();
    let both = Exclusions { gitignore: true, ..Exclusions::default() };
    for (entries, found) in
        [(["d/.gitignore=a", "d/a"], Some("d d/.gitignore d/a")), (["d/.floeignore=a", "d/a"], None)]
    {
        let root = tree(&entries);
        let file = root.path().join(entries[0].split_once('=').unwrap().0);
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        let options = WalkOptions { threads: std::num::NonZeroUsize::MIN, ..WalkOptions::default() };
        let walk = Walk::new(root.path(), &WalkOptions { exclusions: both.clone(), ..options }).unwrap();
        let listings: Result<Vec<_>> = walk.collect();
        assert_eq!(listings.is_ok(), found.is_some(), "{listings:?}");
        if let Some(found) = found {
            assert_eq!(try_walk(root.path(), both.clone()).unwrap(), found);
        }
    }
}
