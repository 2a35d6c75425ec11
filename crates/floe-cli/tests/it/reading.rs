//! Commands that look into snapshots: `ls REF:PATH`, `cat`, `diff`, `verify`, `archive`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::attack::can;
use crate::environment::{User, shape, stdout};
use crate::report::report;

fn user_with_a_push() -> User {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    user
}

#[test]
fn a_directory_is_listed() {
    let user = user_with_a_push();
    let ls = |arguments: &[&str]| stdout(&user.floe(&[&["ls"], arguments].concat(), 0));
    assert_eq!(ls(&["main"]), "README.md\nlink\nsrc/\n");
    assert_eq!(ls(&["main:src"]), "deep/\nmain.rs\n");
    assert_eq!(ls(&["main:src/main.rs"]), "src/main.rs\n");
    assert_eq!(ls(&["main:src", "-R"]), "deep/\nmain.rs\ndeep/data\n");
    let long = ls(&["main", "-l"]);
    assert!(long.starts_with("-rw-r--r--            9 "), "{long}");
    assert!(long.contains(" link -> README.md\n"), "{long}");
    // Also where a hard link has no owner and no time.
    std::fs::hard_link(user.path("tree/README.md"), user.path("tree/same")).unwrap();
    user.floe(&["push", "tree", "linked", "--owner"], 0);
    let long = ls(&["linked", "-l"]);
    let column = |name: &str| {
        let line = long.lines().find(|line| line.contains(name)).unwrap();
        line.find(name).unwrap()
    };
    assert_eq!(column("same link to README.md"), column("link -> README.md"), "{long}");
    let report = user.json(&["ls", "main:src", "--json"]);
    insta::assert_json_snapshot!("ls_directory", shape(&report));
    let files = report["entries"].as_array().unwrap();
    assert_eq!((files[1]["path"].clone(), files[1]["file_bytes"].clone()), ("src/main.rs".into(), 13.into()));
    user.floe(&["ls", "main:absent", "--json"], 1).stdout("");
    user.floe(&["ls", "--recursive"], 2);
}

#[test]
fn an_empty_tree_is_listed() {
    let user = User::new();
    fs::create_dir(user.path("empty")).unwrap();
    user.floe(&["push", "empty", "main"], 0);
    assert_eq!(stdout(&user.floe(&["ls", "main"], 0)), "");
    assert_eq!(user.json(&["ls", "main", "--json"])["entries"], Value::Array(Vec::new()));
}

#[test]
fn names_that_are_not_text_are_told_exactly() {
    use std::os::unix::ffi::OsStrExt;
    let user = User::new();
    fs::create_dir(user.path("raw")).unwrap();
    fs::write(user.path("raw").join(std::ffi::OsStr::from_bytes(b"a\xffb")), "x").unwrap();
    user.floe(&["push", "raw", "main"], 0);
    let report = user.json(&["ls", "main", "--json"]);
    assert_eq!(report["entries"][0]["path"], "a\u{fffd}b");
    assert_eq!(report["entries"][0]["path_hex"], "61ff62");
    user.floe(&["ls", "main"], 0).stdout(&b"a\xffb\n"[..]);
}

#[test]
fn a_file_is_shown() {
    let user = user_with_a_push();
    assert_eq!(stdout(&user.floe(&["cat", "main:src/main.rs"], 0)), "fn main() {}\n");
    user.floe(&["cat", "main:src/deep/data"], 0).stdout(vec![7; 100_000]);
    let none = user.floe(&["cat", "main"], 2).stdout("");
    insta::assert_snapshot!("cat_without_a_path", user.stderr(&none));
    user.floe(&["cat", "main:src"], 1).stdout("");
    user.floe(&["cat", "main:absent"], 1).stdout("");
}

#[test]
fn differences_are_told() {
    let user = user_with_a_push();
    fs::write(user.path("tree/src/main.rs"), "fn main() { }\n").unwrap();
    fs::write(user.path("tree/new"), "new").unwrap();
    fs::remove_file(user.path("tree/link")).unwrap();
    let expected = "D link\nA new\nM src/main.rs\n";
    let diff = |arguments: &[&str], code| {
        let told = stdout(&user.floe(&[&["diff"], arguments].concat(), code));
        let lines = told.lines().filter(|line| !line.starts_with('m'));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(diff(&["main", "./tree"], 0), expected);
    assert_eq!(diff(&["./tree", "main"], 0), "A link\nD new\nM src/main.rs\n");
    assert_eq!(diff(&["main", "./tree", "--exclude", "new"], 0), "D link\nM src/main.rs\n");
    user.floe(&["push", "tree", "main"], 0);
    assert_eq!(diff(&["main@1", "main"], 0), expected);
    assert_eq!(diff(&["main@1", "main", "--exit-code"], 1), expected);
    assert_eq!(diff(&["main", "./tree", "--exit-code"], 0), "");
    let report = user.json(&["diff", "main@1", "main", "--json"]);
    insta::assert_json_snapshot!("diff", shape(&report));
    assert_eq!(user.json(&["diff", "main", "main", "--json"])["changes"], Value::Array(Vec::new()));
    fs::set_permissions(user.path("tree"), fs::Permissions::from_mode(0o700)).unwrap();
    user.floe(&["push", "tree", "private"], 0);
    for operands in [["main", "./tree"], ["./tree", "main"], ["main", "private"]] {
        let told = user.floe(&[&["diff", "--exit-code"], &operands[..]].concat(), 1);
        assert_eq!(stdout(&told), "m .\n");
    }
    user.floe(&["diff", "./tree", "./tree"], 2);
    user.floe(&["diff", "main", "tree with spaces"], 2);
}

#[test]
fn times_are_differences_on_request() {
    let user = user_with_a_push();
    let diff = |arguments: &[&str], code| stdout(&user.floe(&[&["diff"], arguments].concat(), code));
    let file = fs::File::options().append(true).open(user.path("tree/README.md")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    user.floe(&["push", "tree", "later"], 0);
    for operands in [["main", "./tree"], ["./tree", "main"], ["main", "later"]] {
        assert_eq!(diff(&[&operands[..], &["--exit-code"]].concat(), 0), "");
        assert_eq!(diff(&[&operands[..], &["--exit-code", "--times"]].concat(), 1), "m README.md\n");
    }
    let changes = |options: &[&str]| {
        let report = user.json(&[&["diff", "main", "later", "--json"], options].concat());
        report["changes"].as_array().unwrap().clone()
    };
    assert_eq!(changes(&[]), [Value::Null; 0]);
    let told = changes(&["--times"]);
    assert_eq!((told.len(), &told[0]["change"]), (1, &"metadata".into()));
    // Where the contents differ, too, that is told.
    fs::write(user.path("tree/README.md"), "# Changed\n").unwrap();
    assert_eq!(diff(&["main", "./tree", "--times"], 0), "M README.md\n");
}

#[test]
fn extended_attributes_are_differences_where_the_snapshot_keeps_them() {
    let user = User::new();
    let tree = user.tree("tree");
    let set = |path: &str, value: &[u8]| {
        rustix::fs::setxattr(user.path(path), "user.floe", value, rustix::fs::XattrFlags::empty())
    };
    if let Err(errno) = set("tree/README.md", b"one") {
        return floe_testkit::skip(format!("no extended attributes here: {errno}"));
    }
    fs::hard_link(user.path("tree/README.md"), user.path("tree/second")).unwrap();
    user.floe(&["push", &tree, "with", "--xattrs"], 0);
    user.floe(&["push", &tree, "without"], 0);
    let diff = |operands: [&str; 2], code| {
        stdout(&user.floe(&[&["diff", "--exit-code"], &operands[..]].concat(), code))
    };
    assert_eq!(diff(["with", "./tree"], 0), "");
    set("tree/README.md", b"two").unwrap();
    set("tree/src", b"new").unwrap();
    assert_eq!(diff(["with", "./tree"], 1), "m README.md\nm src\n");
    assert_eq!(diff(["./tree", "with"], 1), "m README.md\nm src\n");
    assert_eq!(diff(["without", "./tree"], 0), "");
}

#[test]
fn links_of_files_with_names_elsewhere_are_no_differences() {
    let user = User::new();
    let tree = user.tree("tree");
    fs::hard_link(user.path("tree/README.md"), user.path("outside")).unwrap();
    fs::hard_link(user.path("tree/README.md"), user.path("tree/second")).unwrap();
    user.floe(&["push", &tree, "main"], 0);
    let diff = || stdout(&user.floe(&["diff", "main", "./tree"], 0));
    assert_eq!(diff(), "");
    // An earlier name in the directory, which the snapshot knows nothing of, and a link that is a file of its own now.
    fs::hard_link(user.path("outside"), user.path("tree/AAA")).unwrap();
    assert_eq!(diff(), "A AAA\n");
    fs::remove_file(user.path("tree/second")).unwrap();
    fs::copy(user.path("outside"), user.path("tree/second")).unwrap();
    assert_eq!(diff(), "A AAA\nM second\n");
}

/// To the snapshot they are two files, and so they are where it is pulled.
#[test]
fn files_that_became_one_are_a_difference() {
    for content in ["same", ""] {
        let user = User::new();
        let tree = user.tree("tree");
        for name in ["a", "b"] {
            fs::write(user.path("tree").join(name), content).unwrap();
        }
        user.floe(&["push", &tree, "main"], 0);
        user.floe(&["push", &tree, "reproducible", "--reproducible"], 0);
        fs::remove_file(user.path("tree/b")).unwrap();
        fs::hard_link(user.path("tree/a"), user.path("tree/b")).unwrap();
        for options in [&["--exit-code"][..], &["--exit-code", "--by-hash"]] {
            let told = stdout(&user.floe(&[&["diff", "main", "./tree"], options].concat(), 1));
            assert_eq!(told, "M b\n", "{content:?}");
        }
        assert_eq!(stdout(&user.floe(&["diff", "reproducible", "./tree"], 0)), "");
    }
}

#[test]
fn a_sound_store_verifies() {
    let user = user_with_a_push();
    let report = user.json(&["verify", "--json"]);
    insta::assert_json_snapshot!("verify", shape(&report));
    assert_eq!((&report["ref_count"], &report["snapshot_count"]), (&1.into(), &1.into()));
    user.floe(&["verify", "--quick", "main"], 0).stdout("");
    user.floe(&["verify", "mian"], 1);
    fs::copy(pack(&user), user.path(".local/share/floe/default/packs").join("0".repeat(32))).unwrap();
    let zeros = "0".repeat(32);
    assert_eq!(stdout(&user.floe(&["verify"], 0)), format!("unreferenced: pack {zeros}\n"));
}

/// The one pack there is.
fn pack(user: &User) -> std::path::PathBuf {
    let packs = fs::read_dir(user.path(".local/share/floe/default/packs")).unwrap();
    let mut packs = packs.map(|entry| entry.unwrap().path());
    packs.find(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.')).unwrap()
}

#[test]
fn damage_is_named() {
    let user = user_with_a_push();
    let pack = pack(&user);
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let id = pack.file_name().unwrap().to_str().unwrap().to_owned();
    let corrupt = user.floe(&["verify"], 3);
    assert!(
        stdout(&corrupt).starts_with("damaged: ") && stdout(&corrupt).contains(&id),
        "{}",
        stdout(&corrupt)
    );
    let report = report("verify", &user.floe(&["verify", "--json"], 3).get_output().stdout);
    assert!(!report["damages"].as_array().unwrap().is_empty());
    for arguments in [&["archive", "main"][..], &["cat", "main:src/deep/data"]] {
        let corrupt = user.floe(&[arguments, &["--cache-dir", "fresh"]].concat(), 3);
        assert!(user.stderr(&corrupt).contains(&id), "{}", user.stderr(&corrupt));
    }
}

#[test]
fn it_is_told_which_generations_damage_affects() {
    let user = user_with_a_push();
    let pack = pack(&user);
    user.floe(&["tag", "main", "copy"], 0);
    fs::write(user.path("tree/new"), "new").unwrap();
    user.floe(&["push", "tree", "main"], 0);
    user.floe(&["push", "tree", "whole", "--full"], 0);
    fs::remove_file(pack).unwrap();
    let lost = user.floe(&["verify"], 3);
    let affected: Vec<_> =
        stdout(&lost).lines().filter_map(|line| line.strip_prefix("affected: ").map(str::to_owned)).collect();
    assert_eq!(affected, ["copy@1", "main@1 main@2"]);
    let report = report("verify", &user.floe(&["verify", "main", "--json"], 3).get_output().stdout);
    let generation = |number: u64| serde_json::json!({"ref": "main", "generation": number});
    assert_eq!(report["affected"], serde_json::json!([generation(1), generation(2)]));
}

#[test]
fn i4_archives_with_equal_etags_have_equal_bytes() {
    let user = user_with_a_push();
    fs::write(user.path("tree/data"), "text, and more text, and more\n".repeat(5000)).unwrap();
    for arguments in [&["one"][..], &["two"], &["again", "--full"], &["other", "--full", "--level", "19"]] {
        user.floe(&[&["push", "tree"], arguments].concat(), 0);
    }
    fs::write(user.path("tree/data"), "something else\n").unwrap();
    user.floe(&["push", "tree", "one"], 0);
    let mut bytes_of = HashMap::new();
    let mut layouts = HashSet::new();
    for name in ["main", "one@1", "two", "again", "other", "one@2"] {
        let shown = user.json(&["show", name, "--json"]);
        let archive = user.floe(&["archive", name], 0).get_output().stdout.clone();
        let etag = shown["archive_etag"].as_str().unwrap().to_owned();
        layouts.insert(shown["layout"].as_str().unwrap().to_owned());
        let known = bytes_of.entry(etag).or_insert_with(|| archive.clone());
        assert!(*known == archive, "{name} has the ETag of another archive");
    }
    // Where frames are does not matter, how they are compressed does.
    assert_eq!((bytes_of.len(), layouts.len() > 4), (4, true), "{layouts:?}");
}

#[test]
fn archives_are_made() {
    let user = user_with_a_push();
    user.floe(&["archive", "main", "-o", "a.tar"], 0).stdout("");
    let tar = fs::read(user.path("a.tar")).unwrap();
    assert_eq!(&tar[257..262], b"ustar");
    let piped = user.floe(&["archive", "main", "--format", "tar"], 0);
    assert_eq!(piped.get_output().stdout, tar);
    let report = user.json(&["archive", "main", "-o", "a.tar.zst", "--json"]);
    insta::assert_json_snapshot!("archive", shape(&report));
    let stored = fs::read(user.path("a.tar.zst")).unwrap();
    assert_eq!(report["archive_bytes"], stored.len());
    assert_eq!(user.json(&["show", "main", "--json"])["archive_bytes"], stored.len());
    let piped = user.floe(&["archive", "main"], 0);
    assert_eq!(piped.get_output().stdout, stored);
    user.floe(&["archive", "main", "-o", "archive.tar.gz"], 2);
    user.floe(&["archive", "main", "-o", "archive"], 0);
    assert_eq!(std::fs::read(user.path("archive")).unwrap(), stored);
    let piped = user.floe(&["archive", "main", "-o", "-"], 0);
    assert!(piped.get_output().stdout == stored && !user.path("-").exists());
    user.floe(&["archive", "main", "-o", "-", "--json"], 2);
    user.floe(&["archive", "main", "-o", "/dev/null"], 0);
    user.floe(&["archive", "main", "--json"], 2);
    for absent in ["absent/a.tar", "absent/", "absent/."] {
        user.floe(&["archive", "main", "-o", absent], 1);
    }
    user.floe(&["archive", "mian", "-o", "b.tar"], 1);
    let left = fs::read_dir(user.home()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_str().unwrap().contains("tar")).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// The names in the home directory that an archive has on its way.
fn parts(user: &User) -> Vec<String> {
    let names = fs::read_dir(user.home()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.ends_with(".part")).collect()
}

#[test]
fn what_a_killed_archive_left_is_in_nobodys_way() {
    let user = user_with_a_push();
    let stale = format!("a.tar.{:016x}.part", 7);
    let (alive, other) = (format!("a.tar.{:016x}.part", 8), format!("b.tar.{:016x}.part", 7));
    for name in [&stale, &alive, &other, "a.tar.1.part", "a.tar.user.part"] {
        fs::write(user.path(name), "half").unwrap();
    }
    let held = fs::File::open(user.path(&alive)).unwrap();
    held.lock().unwrap();
    user.floe(&["archive", "main", "-o", "a.tar"], 0);
    user.floe(&["archive", "mian", "-o", "a.tar"], 1);
    let mut left = parts(&user);
    left.sort();
    assert_eq!(left, [&alive, "a.tar.1.part", "a.tar.user.part", &other]);
}

#[test]
fn an_archive_takes_the_place_of_what_is_there() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let user = user_with_a_push();
    let write = |to: &str| user.floe(&["archive", "main", "--format", "tar", "-o", to], 0);
    let mode = |name: &str| fs::metadata(user.path(name)).unwrap().permissions().mode() & 0o7777;
    write("new");
    let tar = fs::read(user.path("new")).unwrap();
    for kept in [0o600, 0o644, 0o660, 0o444] {
        fs::write(user.path(&format!("old{kept}")), "old").unwrap();
        fs::set_permissions(user.path(&format!("old{kept}")), fs::Permissions::from_mode(kept)).unwrap();
        write(&format!("old{kept}"));
        assert_eq!(mode(&format!("old{kept}")), kept);
    }
    // What a symlink names is written, whether it is there or not, and the symlink stays.
    fs::create_dir(user.path("dir")).unwrap();
    fs::write(user.path("dir/there"), "old").unwrap();
    for (link, target) in [("first", "dir/there"), ("second", "dir/absent"), ("third", "first")] {
        symlink(target, user.path(link)).unwrap();
        write(link);
        assert_eq!(fs::read_link(user.path(link)).unwrap(), std::path::Path::new(target));
        assert!(fs::read(user.path(link)).unwrap() == tar, "{link}");
    }
    symlink("loop", user.path("loop")).unwrap();
    user.floe(&["archive", "main", "-o", "loop"], 1);
    for length in [221, 250, 255] {
        write(&"n".repeat(length));
    }
    assert_eq!(parts(&user), [""; 0]);
    let told =
        user.stderr(&user.floe(&["archive", "main", "-o", ".local/share/floe/default/format.json"], 1));
    assert!(told.contains("only Floe's own files belong"), "{told}");
    user.floe(&["verify"], 0);
}

#[test]
fn an_archive_gives_nobody_what_they_did_not_have() {
    use std::os::unix::fs::{MetadataExt, chown};

    use rustix::fs::{XattrFlags, getxattr, setxattr};
    const ACL: &str = "system.posix_acl_access";
    let user = user_with_a_push();
    let path = user.path("out.tar");
    let there = |mode: u32| {
        let _ = fs::remove_file(&path);
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let acl_now = || {
        let mut acl = vec![0; 256];
        getxattr(&path, ACL, &mut acl[..]).map(|length| acl[..length].to_vec()).ok()
    };
    // Somebody may read, and the group not, though the mode has the mask in its place.
    let entries =
        [(1_u16, 6_u16, u32::MAX), (2, 4, 9), (4, 0, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, who) in entries {
        acl.extend(tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes()).chain(who.to_le_bytes()));
    }
    there(0o600);
    if setxattr(&path, ACL, &acl, XattrFlags::empty()).is_ok() {
        user.floe(&["archive", "main", "-o", "out.tar"], 0);
        assert_eq!((acl_now(), fs::metadata(&path).unwrap().mode() & 0o777), (Some(acl.clone()), 0o640));
    } else {
        floe_testkit::skip("no ACLs in the temporary directory");
    }
    // Whoever may not give it to its group gives that nothing else.
    let Some(before) = crate::attack::unprivileged().filter(|before| before[0] == "setpriv") else {
        return floe_testkit::skip("only root can run it as somebody else here");
    };
    fs::set_permissions(user.home(), fs::Permissions::from_mode(0o777)).unwrap();
    for (before_mode, with_acl, expected) in
        [(0o640, false, 0o600), (0o604, false, 0o600), (0o664, false, 0o644), (0o600, true, 0o600)]
    {
        there(before_mode);
        if with_acl && setxattr(&path, ACL, &acl, XattrFlags::empty()).is_err() {
            continue;
        }
        chown(&path, Some(65534), Some(2)).unwrap();
        let output = user.under(before, &["archive", "main", "-o", "out.tar"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let now = fs::metadata(&path).unwrap();
        assert_eq!((now.uid(), now.gid(), now.mode() & 0o777), (65534, 65534, expected), "{before_mode:o}");
        assert_eq!(acl_now(), None);
    }
}

/// What is made in a directory may get an ACL there, and what it replaces has none.
#[test]
fn an_archive_gets_no_acl_from_its_directory() {
    use std::os::unix::fs::MetadataExt;
    let user = user_with_a_push();
    fs::create_dir(user.path("shared")).unwrap();
    let path = user.path("shared/out.tar");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    if !can(&["setfacl", "-d", "-m", "u:65534:r", user.path("shared").to_str().unwrap()]) {
        return;
    }
    user.floe(&["archive", "main", "-o", "shared/out.tar"], 0);
    let acl = rustix::fs::getxattr(&path, "system.posix_acl_access", &mut [0; 256][..]);
    assert_eq!((acl.ok(), fs::metadata(&path).unwrap().mode() & 0o777), (None, 0o640));
}

/// All the work would be in vain.
#[test]
fn what_an_archive_cannot_replace_is_refused_at_once() {
    let user = user_with_a_push();
    fs::write(user.path("file"), "old").unwrap();
    fs::write(user.path("out.tar"), "old").unwrap();
    let refused = |program: &[&str]| {
        // A ref that is not there is found out later.
        let output = user.under(program, &["archive", "mian", "-o", "out.tar"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains("cannot write out.tar"), "{told}");
        assert_eq!((fs::read(user.path("out.tar")).unwrap(), parts(&user)), (b"old".to_vec(), vec![]));
        told
    };
    let (from, to) = (user.path("file"), user.path("out.tar"));
    if can(&["unshare", "-m", "mount", "--bind", from.to_str().unwrap(), to.to_str().unwrap()]) {
        let script = "mount --bind file out.tar && exec \"$0\" \"$@\"";
        let told = refused(&["unshare", "-m", "sh", "-c", script]);
        assert!(told.contains("A file is mounted there"), "{told}");
    }
    // Where everybody may write, nobody takes the names of others.
    if let Some(before) = crate::attack::unprivileged().filter(|before| before[0] == "setpriv") {
        fs::set_permissions(user.home(), fs::Permissions::from_mode(0o1777)).unwrap();
        refused(before);
    } else {
        floe_testkit::skip("only root can run it as somebody else here");
    }
}

#[test]
fn what_is_said_when_an_archive_is_closed_is_heard() {
    let user = user_with_a_push();
    let pipe = user.path("pipe");
    if !can(&["mkfifo", pipe.to_str().unwrap()]) || !can(&["strace", "-V"]) {
        return;
    }
    let script = "cat pipe >/dev/null & \
                  strace -f -qq -o /dev/null -P \"$HOME/pipe\" -e trace=close -e inject=close:error=EDQUOT \
                  \"$0\" archive main -o pipe";
    let output = user.under(&["sh", "-c", script], &[]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("cannot write pipe"), "{told}");
}

/// What is open already is neither replaced nor lost, whatever its name leads to.
#[test]
fn what_is_open_is_written_on() {
    let user = user_with_a_push();
    std::os::unix::fs::symlink("/proc/self/fd/1", user.path("out")).unwrap();
    let floe =
        |script: &str| user.under(&["sh", "-c", &format!("(echo before; \"$0\" {script}) >file")], &[]);
    for name in ["/dev/stdout", "/dev/fd/1", "out"] {
        let output = floe(&format!("archive main --format tar -o {name}"));
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        let (plain, written) =
            (user.floe(&["archive", "main", "--format", "tar"], 0), fs::read(user.path("file")));
        assert!(written.unwrap().strip_prefix(b"before\n") == Some(&plain.get_output().stdout[..]), "{name}");
    }
    let output = floe("pull main:README.md out");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(fs::symlink_metadata(user.path("out")).unwrap().is_symlink());
    // A directory is one, however it is reached.
    std::os::unix::fs::symlink("/proc/self/cwd", user.path("here")).unwrap();
    user.floe(&["pull", "main:README.md", "here"], 0);
    assert!(user.path("README.md").exists());
}

#[test]
fn programs_get_names_as_they_are() {
    let user = user_with_a_push();
    fs::create_dir(user.path("named")).unwrap();
    fs::write(user.path("named/a\nb"), "1").unwrap();
    fs::write(user.path("named/c"), "2").unwrap();
    user.floe(&["push", "named", "named"], 0);
    assert_eq!(stdout(&user.floe(&["ls", "-0", "named"], 0)), "a\nb\0c\0");
    fs::write(user.path("named/a\nb"), "other").unwrap();
    fs::remove_file(user.path("named/c")).unwrap();
    let told = stdout(&user.floe(&["diff", "--null", "named", "./named"], 0));
    assert_eq!(told, "M a\nb\0D c\0");
    user.floe(&["ls", "-0"], 2);
    user.floe(&["ls", "-0", "named", "--json"], 2);
}
