//! Files that hold still and files that do not.

use std::os::unix::fs::symlink;

use super::*;
use crate::source::DirectoryId;

/// Keeps what it was given last, and does something at the first bytes of every attempt.
struct Sink<F> {
    content: Vec<u8>,
    attempts: usize,
    meddle: F,
}

impl<F: FnMut(usize)> ContentSink for Sink<F> {
    fn begin(&mut self, _: &Stat) -> Result<()> {
        self.content.clear();
        self.attempts += 1;
        (self.meddle)(self.attempts);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.content.extend_from_slice(bytes);
        Ok(())
    }
}

fn sink<F: FnMut(usize)>(meddle: F) -> Sink<F> {
    Sink { content: Vec::new(), attempts: 0, meddle }
}

fn source() -> (tempfile::TempDir, SourceFiles) {
    let root = tempfile::tempdir().unwrap();
    let files = SourceFiles::open(root.path()).unwrap();
    (root, files)
}

/// The directory at a path, as it is now; of one that is not there, something else.
fn listed<'a>(root: &tempfile::TempDir, path: &'a str) -> ListedDirectory<'a> {
    let there = Stat::of_path(&root.path().join(path)).or_else(|_| Stat::of_path(root.path()));
    ListedDirectory { path: path.as_bytes(), id: DirectoryId::of(&there.unwrap()) }
}

#[test]
fn content_of_every_interesting_size_is_read_through_a_small_buffer() {
    let (root, mut files) = source();
    std::fs::create_dir_all(root.path().join("a/b")).unwrap();
    for size in [0_usize, 1, 63, 64, 65, 128, 1000] {
        let content: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        std::fs::write(root.path().join("a/b/file"), &content).unwrap();
        let mut sink = sink(|_| ());
        let outcome = files.read(listed(&root, "a/b"), b"file", &mut [0; 64], &mut sink).unwrap();
        assert_eq!(sink.content, content);
        let ReadOutcome::Read { stat, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(stat.size, size as u64);
    }
}

#[test]
fn a_file_of_more_than_four_gibibytes_is_read_to_its_end() {
    struct Count(u64);
    impl ContentSink for Count {
        fn begin(&mut self, _: &Stat) -> Result<()> {
            Ok(())
        }
        fn take(&mut self, bytes: &[u8]) -> Result<()> {
            self.0 += bytes.len() as u64;
            Ok(())
        }
    }
    let (root, mut files) = source();
    let size = (4 << 30) + 5;
    std::fs::File::create(root.path().join("big")).unwrap().set_len(size).unwrap();
    let mut count = Count(0);
    files.read(listed(&root, ""), b"big", &mut vec![0; 8 << 20], &mut count).unwrap();
    assert_eq!(count.0, size);
}

#[test]
fn a_file_that_changes_is_read_again_until_it_holds_still() {
    let (root, mut files) = source();
    let path = root.path().join("file");
    for changes in 0..=READ_AGAIN {
        std::fs::write(&path, b"content").unwrap();
        let mut sink = sink(|attempt| {
            if attempt <= changes {
                std::fs::write(&path, format!("content {}", "x".repeat(attempt))).unwrap();
            }
        });
        files.read(listed(&root, ""), b"file", &mut [0; 64], &mut sink).unwrap();
        assert_eq!(sink.attempts, changes + 1);
        assert_eq!(sink.content, std::fs::read(&path).unwrap());
    }
}

#[test]
fn each_way_to_change_is_noticed() {
    let (root, mut files) = source();
    let path = root.path().join("file");
    let ways: [(&str, &dyn Fn()); 4] = [
        ("grows", &|| std::fs::write(&path, vec![b'x'; 2000]).unwrap()),
        ("shrinks", &|| std::fs::write(&path, b"x").unwrap()),
        ("is rewritten", &|| {
            // So that the clock has ticked since the file was made.
            let stat = || std::fs::metadata(&path).unwrap().modified().unwrap();
            let before = stat();
            while stat() == before {
                std::fs::write(&path, vec![b'y'; 1000]).unwrap();
            }
        }),
        ("is dated back", &|| {
            std::fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
    ];
    for (way, change) in ways {
        std::fs::write(&path, vec![b'x'; 1000]).unwrap();
        let mut sink = sink(|attempt| {
            if attempt == 1 {
                change();
            }
        });
        files.read(listed(&root, ""), b"file", &mut [0; 64], &mut sink).unwrap();
        assert_eq!(sink.attempts, 2, "a file that {way}");
    }
}

#[test]
fn a_file_that_will_not_hold_still_is_named() {
    let (root, mut files) = source();
    std::fs::create_dir(root.path().join("dir")).unwrap();
    let path = root.path().join("dir/file");
    std::fs::write(&path, b"x").unwrap();
    let mut sink = sink(|attempt| std::fs::write(&path, "x".repeat(attempt + 1)).unwrap());
    let error = files.read(listed(&root, "dir"), b"file", &mut [0; 64], &mut sink).unwrap_err();
    assert_eq!(error.to_string(), "dir/file changed each time it was read");
    assert_eq!(sink.attempts, READ_AGAIN + 1);
}

#[test]
fn what_vanished_is_told_from_what_cannot_be_read() {
    let (root, mut files) = source();
    let mut nothing = sink(|_| ());
    let read = |files: &mut SourceFiles, directory: &str, name: &[u8], sink: &mut dyn ContentSink| {
        files.read(listed(&root, directory), name, &mut [0; 64], sink)
    };
    assert_eq!(read(&mut files, "", b"file", &mut nothing).unwrap(), ReadOutcome::Vanished);
    assert_eq!(read(&mut files, "no/where", b"file", &mut nothing).unwrap(), ReadOutcome::Vanished);
    assert_eq!(files.read_link(listed(&root, ""), b"link").unwrap(), None);

    let path = root.path().join("file");
    std::fs::write(&path, b"x").unwrap();
    let mut removing = sink(|_| {
        std::fs::remove_file(&path).unwrap();
    });
    assert_eq!(read(&mut files, "", b"file", &mut removing).unwrap(), ReadOutcome::Vanished);
}

#[test]
fn nothing_but_a_regular_file_is_read_and_no_link_is_followed() {
    let (root, mut files) = source();
    let at = |name: &str| root.path().join(name);
    std::fs::create_dir(at("real")).unwrap();
    std::fs::write(at("real/file"), b"x").unwrap();
    symlink("real", at("dirlink")).unwrap();
    symlink("real/file", at("link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    for (directory, name) in [("", "link"), ("", "fifo"), ("", "socket"), ("", "real"), ("dirlink", "file")] {
        let error = files.open_file(listed(&root, directory), name.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{directory}/{name}");
    }
    assert!(files.open_file(listed(&root, "real"), b"file").unwrap().is_some());
}

#[test]
fn a_directory_replaced_while_not_open_is_not_read_from() {
    let (root, mut files) = source();
    let at = |name: &str| root.path().join(name);
    for name in ["moved", "other", "last"] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("file"), name).unwrap();
    }
    std::fs::set_permissions(at("other"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let (moved, last) = (listed(&root, "moved"), listed(&root, "last"));
    let deeds: [&dyn Fn(); 2] =
        [&|| symlink("last", at("moved")).unwrap(), &|| std::fs::rename(at("other"), at("moved")).unwrap()];
    assert!(files.open_file(moved, b"file").unwrap().is_some());
    std::fs::rename(at("moved"), at("aside")).unwrap();
    for deed in deeds {
        // As long as it is open, it is the one that was listed.
        files.open_file(last, b"file").unwrap();
        deed();
        let error = files.open_file(moved, b"file").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let _ = std::fs::remove_file(at("moved"));
    }
    // Nothing else is known of it then, either.
    assert_eq!(files.read_link(moved, b"file").unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(files.xattrs(moved, b"file").unwrap(), None);
    let stat = Stat::of_path(&at("moved/file")).unwrap();
    assert!(!files.is_still(moved, b"file", &stat).unwrap());
    assert!(files.is_still(listed(&root, "moved"), b"file", &stat).unwrap());
}

#[test]
fn the_root_is_the_one_that_was_listed() {
    let (root, mut files) = source();
    std::fs::write(root.path().join("file"), b"x").unwrap();
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir(other.path().join("below")).unwrap();
    assert!(files.open_file(listed(&root, ""), b"file").unwrap().is_some());
    assert!(files.open_file(listed(&other, ""), b"file").is_err());
}

#[test]
fn links_are_read_with_their_stat() {
    let (root, mut files) = source();
    std::fs::create_dir(root.path().join("dir")).unwrap();
    symlink("../somewhere\u{e9}", root.path().join("dir/link")).unwrap();
    let link = files.read_link(listed(&root, "dir"), b"link").unwrap().unwrap();
    assert_eq!(link.target, "../somewhere\u{e9}".as_bytes());
    assert_eq!((link.stat.kind, link.stat.size), (FileKind::Symlink, link.target.len() as u64));
    std::fs::write(root.path().join("file"), b"").unwrap();
    assert_eq!(files.read_link(listed(&root, ""), b"file").unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn directories_are_found_again_from_those_still_open() {
    let (root, mut files) = source();
    let deep: Vec<String> = (0..30).map(|depth| vec!["d"; depth].join("/")).collect();
    std::fs::create_dir_all(root.path().join(deep.last().unwrap())).unwrap();
    for path in &deep {
        std::fs::write(root.path().join(path).join("file"), path).unwrap();
    }
    for index in [29, 28, 0, 1, 29, 5, 20, 21, 19, 2] {
        let mut sink = sink(|_| ());
        files.read(listed(&root, &deep[index]), b"file", &mut [0; 64], &mut sink).unwrap();
        assert_eq!(sink.content, deep[index].as_bytes());
        assert!(files.directories.count() <= KEPT_DIRECTORIES);
    }
}

#[test]
fn many_threads_keep_few_directories_open_each() {
    let (root, files) = source();
    let mut files = files.shared_by(1 << 20);
    assert_eq!(files.directories.most(), 1);
    for path in ["a/b/c", "a/b", "d"] {
        std::fs::create_dir_all(root.path().join(path)).unwrap();
        std::fs::write(root.path().join(path).join("file"), path).unwrap();
        let mut sink = sink(|_| ());
        files.read(listed(&root, path), b"file", &mut [0; 64], &mut sink).unwrap();
        assert_eq!((sink.content, files.directories.count()), (path.into(), 1));
    }
    assert_eq!(files.try_clone().unwrap().directories.most(), 1);
    assert_eq!(SourceFiles::open(root.path()).unwrap().shared_by(1).directories.most(), KEPT_DIRECTORIES);
}

/// Data of one byte or a block, at the edges of buffers and beside them, and holes before, between and behind.
#[test]
fn holes_are_zeros_wherever_they_are() {
    const BUFFER_BYTES: usize = 2 * HOLE_BYTES;
    let (root, mut files) = source();
    let mut buffer = vec![7; BUFFER_BYTES];
    let block = 4096;
    let places = [0, 1, block, HOLE_BYTES, BUFFER_BYTES - 1, BUFFER_BYTES, 3 * BUFFER_BYTES + block, 900_000];
    for first in places {
        for second in places.iter().filter(|second| **second > first) {
            for size in [second + 1, second + 5 * BUFFER_BYTES + 3] {
                let mut content = vec![0; size];
                (content[first], content[*second]) = (1, 2);
                let name = format!("{first} {second} {size}");
                let file = std::fs::File::create(root.path().join(&name)).unwrap();
                file.set_len(size as u64).unwrap();
                for place in [first, *second] {
                    std::os::unix::fs::FileExt::write_all_at(&file, &content[place..=place], place as u64)
                        .unwrap();
                }
                let mut sink = sink(|_| ());
                files.read(listed(&root, ""), name.as_bytes(), &mut buffer, &mut sink).unwrap();
                assert!(sink.content == content, "{name}");
            }
        }
    }
}

#[test]
fn of_a_hole_only_the_beginning_is_read() {
    let (root, mut files) = source();
    let file = std::fs::File::create(root.path().join("file")).unwrap();
    let size = 64 << 20;
    file.set_len(size).unwrap();
    if rustix::fs::seek(&file, SeekFrom::Data(0)) != Err(Errno::NXIO) {
        return floe_testkit::skip("no holes here");
    }
    let mut open = files.open_file(listed(&root, ""), b"file").unwrap().unwrap();
    let mut buffer = vec![7; HOLE_BYTES];
    let mut read_bytes = 0;
    loop {
        let count = open.fill(&mut buffer).unwrap();
        // What is read moves the descriptor on.
        if count == 0 {
            break;
        }
        assert!(buffer[..count].iter().all(|byte| *byte == 0));
        read_bytes += count as u64;
    }
    assert_eq!(read_bytes, size);
    assert_eq!(rustix::fs::tell(&open.file).unwrap(), HOLE_BYTES as u64);
}

#[test]
fn where_a_directory_or_an_open_file_is_by_now_is_told() {
    let (root, mut files) = source();
    let at = |name: &str| root.path().join(name);
    std::fs::create_dir_all(at("a/b")).unwrap();
    std::fs::write(at("a/b/file"), "content").unwrap();
    let directory = listed(&root, "a/b");
    let file = *files.open_file(directory, b"file").unwrap().unwrap().stat();
    let is_file = |files: &mut SourceFiles| {
        files.forget_directories();
        files.stat_there(directory, b"file").is_some_and(|there| there.inode == file.inode)
    };
    assert!(files.is_in_place(directory) && is_file(&mut files));
    assert!(files.is_there(b"a/b", "file") && !files.is_there(b"a/b", "other"));
    // Though the directory is open.
    std::fs::rename(at("a"), at("moved")).unwrap();
    assert!(!files.is_in_place(directory) && !is_file(&mut files));
    assert!(!files.is_there(b"a/b", "file"));
    std::fs::create_dir_all(at("a/b")).unwrap();
    std::fs::write(at("a/b/file"), "another").unwrap();
    assert!(!files.is_in_place(directory) && !is_file(&mut files));
    std::fs::remove_dir_all(at("a")).unwrap();
    std::fs::rename(at("moved"), at("a")).unwrap();
    std::fs::rename(at("a/b/file"), at("file")).unwrap();
    assert!(files.is_in_place(directory) && !is_file(&mut files));
}

/// What was opened on the way to another may be elsewhere by now.
#[test]
fn the_whole_path_to_each_is_looked_up_anew() {
    let (root, mut files) = source();
    let at = |name: &str| root.path().join(name);
    std::fs::create_dir(at("left-out")).unwrap();
    for directory in ["p/b/c", "p/b/d"] {
        std::fs::create_dir_all(at(directory)).unwrap();
        std::fs::write(at(directory).join("file"), "content").unwrap();
    }
    let (first, second) = (listed(&root, "p/b/c"), listed(&root, "p/b/d"));
    assert!(files.stat_there(first, b"file").is_some());
    std::fs::rename(at("p/b"), at("left-out/b")).unwrap();
    assert!(files.stat_there(second, b"file").is_none());
    std::fs::rename(at("left-out/b"), at("p/b")).unwrap();
    assert!(files.stat_there(second, b"file").is_some());
}

#[test]
fn a_path_is_that_of_one_file() {
    let (root, mut files) = source();
    let at = |name: &str| root.path().join(name);
    for directory in ["a", "b"] {
        std::fs::create_dir(at(directory)).unwrap();
        std::fs::write(at(directory).join("file"), directory).unwrap();
    }
    let file = *files.open_file(listed(&root, "a"), b"file").unwrap().unwrap().stat();
    assert!(files.is_file_at(b"a/file", &file) && !files.is_file_at(b"b/file", &file));
    std::fs::hard_link(at("a/file"), at("file")).unwrap();
    assert!(files.is_file_at(b"file", &file) && !files.is_file_at(b"gone", &file));
    // No link is followed on the way.
    std::fs::rename(at("a"), at("c")).unwrap();
    std::os::unix::fs::symlink("c", at("a")).unwrap();
    assert!(files.is_file_at(b"c/file", &file) && !files.is_file_at(b"a/file", &file));
}
