//! Files that are not what the walk found when they are read.

use std::fs;

use crossbeam_channel::unbounded;
use floe_format::{Owner, XattrList};
use floe_testkit::wait_until_trusted;

use super::*;
use crate::source::SourceFiles;

const BIG_BYTES: usize = 70_000;

/// A source with a small file and a big one.
fn source() -> tempfile::TempDir {
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("small"), "small").unwrap();
    fs::write(source.path().join("big"), vec![b'b'; BIG_BYTES]).unwrap();
    source
}

fn stat(source: &tempfile::TempDir, name: &str) -> Stat {
    Stat::of_file(fs::File::open(source.path().join(name)).unwrap()).unwrap()
}

/// What the walk found the files in.
fn directory(source: &tempfile::TempDir) -> DirectoryId {
    DirectoryId::of(&stat(source, "."))
}

fn worker(source: &tempfile::TempDir, kept: Kept) -> Worker {
    let settings = WorkSettings {
        parameters: Parameters::default(),
        kept,
        level: 1,
        known: Arc::new(KnownFrames::new(Arc::default(), None, None)),
        made_before: None,
        progress: Arc::default(),
        workers: 1,
    };
    let files = InputFiles::Directory(SourceFiles::open(source.path()).unwrap());
    workers(&settings, &files, &bounded(1).1).unwrap().remove(0)
}

/// Reads the small file, of which the walk found this.
fn read_small(source: &tempfile::TempDir, kept: Kept, stat: Stat) -> Result<Entry, Failure> {
    make_group_of(&mut worker(source, kept), b"small", directory(source), stat)
}

fn make_group_of(
    worker: &mut Worker,
    path: &[u8],
    directory: DirectoryId,
    stat: Stat,
) -> Result<Entry, Failure> {
    let entry = Entry {
        path: path.to_vec(),
        mode: stat.mode,
        mtime: None,
        owner: Some(Owner { user: stat.uid, group: stat.gid }),
        body: OwnedBody::File { size: stat.size, hash: None },
        xattrs: XattrList::default(),
    };
    let note = Note { stat, content: NotedContent::None, may_be_linked: false };
    let made = worker.make_group(vec![PlannedEntry { entry, directory, note }])?;
    Ok(made.entries.into_iter().next().unwrap())
}

/// Reads the big file, of which the walk found this.
fn read_big(source: &tempfile::TempDir, kept: Kept, planned: Stat) -> Result<ReadFile, Failure> {
    read_planned(source, kept, PlannedFile { path: b"big".to_vec(), directory: directory(source), planned })
}

fn read_planned(source: &tempfile::TempDir, kept: Kept, file: PlannedFile) -> Result<ReadFile, Failure> {
    read_with(&mut worker(source, kept), file)
}

fn read_with(worker: &mut Worker, file: PlannedFile) -> Result<ReadFile, Failure> {
    let (reply, pieces) = unbounded();
    worker.read_file(&FileJob { file, reply });
    match pieces.iter().last().unwrap() {
        FilePiece::Done(read) => Ok(read),
        FilePiece::Failed(failure) => Err(failure),
        FilePiece::Chunk(_) | FilePiece::Again => panic!("it did not end"),
    }
}

/// Another file of the same size and mode, as after a save by rename.
fn another(found: Stat) -> Stat {
    Stat { inode: found.inode + 1, uid: found.uid + 1, gid: found.gid + 2, ..found }
}

#[test]
fn the_owner_is_that_of_the_file_which_was_read() {
    let source = source();
    let found = stat(&source, "small");
    let entry = read_small(&source, Kept::OWNER, another(found)).unwrap();
    assert_eq!(entry.owner, Some(Owner { user: found.uid, group: found.gid }));
    let found = stat(&source, "big");
    assert_eq!(read_big(&source, Kept::OWNER, another(found)).unwrap().stat, found);
}

#[test]
fn a_file_is_read_from_the_directory_that_it_was_listed_in() {
    for is_big in [false, true] {
        let source = source();
        let (listed, other) = (source.path().join("listed"), source.path().join("other"));
        for directory in [&listed, &other] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("small"), "small").unwrap();
            fs::write(directory.join("big"), vec![b'b'; BIG_BYTES]).unwrap();
        }
        let id = DirectoryId::of(&stat(&source, "listed"));
        let name = if is_big { "big" } else { "small" };
        let (path, planned) =
            (format!("listed/{name}").into_bytes(), stat(&source, &format!("listed/{name}")));
        let read = || match is_big {
            true => {
                let file = PlannedFile { path: path.clone(), directory: id, planned };
                read_planned(&source, Kept::NONE, file).map(drop)
            }
            false => {
                let mut worker = worker(&source, Kept::NONE);
                worker.buffer.resize(SMALL_BUFFER_BYTES, 0);
                worker.read_small(&path, id, &planned).map(drop)
            }
        };
        read().unwrap();
        fs::rename(&listed, source.path().join("aside")).unwrap();
        fs::rename(&other, &listed).unwrap();
        let failed = read();
        let Err(Failure::Changed(changed)) = failed else { panic!("{name}: {failed:?}") };
        assert_eq!(changed.error.to_string(), format!("listed/{name} changed while it was read"));
    }
}

/// Where it is by now other rules may hold, and what came into it there may be what they leave out.
#[test]
fn what_changed_in_a_directory_that_was_moved_is_not_of_its_former_path() {
    for (name, size) in [("small", 5), ("big", BIG_BYTES)] {
        let source = source();
        let (listed, moved) = (source.path().join("listed"), source.path().join("moved"));
        fs::create_dir(&listed).unwrap();
        fs::write(listed.join(name), vec![b'a'; size]).unwrap();
        let id = DirectoryId::of(&stat(&source, "listed"));
        let path = format!("listed/{name}").into_bytes();
        let planned = stat(&source, &format!("listed/{name}"));
        let mut worker = worker(&source, Kept::NONE);
        worker.buffer.resize(SMALL_BUFFER_BYTES, 0);
        let mut read = || {
            if size == BIG_BYTES {
                let file = PlannedFile { path: path.clone(), directory: id, planned };
                return read_with(&mut worker, file).map(drop);
            }
            make_group_of(&mut worker, &path, id, planned).map(drop)
        };
        read().unwrap();
        wait_until_trusted(source.path());
        fs::rename(&listed, &moved).unwrap();
        // As it was listed.
        read().unwrap();
        fs::write(moved.join(name), vec![b'b'; size]).unwrap();
        let Err(Failure::Changed(changed)) = read() else { panic!("{name} was read") };
        assert!(changed.is_of_rules);
        fs::rename(&moved, &listed).unwrap();
        read().unwrap();
    }
}

/// It may have been written where it was moved to, before or while it was read.
#[test]
fn what_has_another_name_when_it_was_read_is_not_of_its_former_path() {
    let source = source();
    let at = |name: &str| source.path().join(name);
    let (directory, mut worker) = (directory(&source), worker(&source, Kept::NONE));
    let (planned, never) = (stat(&source, "small"), HashClock::at(crate::source::FileTime::default()));
    wait_until_trusted(source.path());
    let now = HashClock::read(fs::File::open(source.path()).unwrap()).unwrap();
    fs::create_dir(at("elsewhere")).unwrap();
    fs::rename(at("small"), at("elsewhere/small")).unwrap();
    // Times tell nothing where they stand still.
    assert!(is_unchanged(&planned, &planned, now) && !is_unchanged(&planned, &planned, never));
    fs::write(at("elsewhere/small"), "other").unwrap();
    let written = stat(&source, "elsewhere/small");
    assert!(!is_unchanged(&planned, &written, now));
    let mut check = |read: Stat| {
        let checked = worker.check_places(std::iter::once((&b"small"[..], directory, read)));
        checked.map_err(|changed| changed.is_of_rules)
    };
    assert_eq!(check(written), Err(false));
    fs::write(at("small"), "small").unwrap();
    assert_eq!(check(written), Err(false), "another has its name");
    fs::rename(at("elsewhere/small"), at("small")).unwrap();
    assert_eq!(check(stat(&source, "small")), Ok(()));
    assert_eq!(check(planned), Err(false), "it was written since");
}

#[test]
fn a_big_file_that_is_gone_may_have_been_written_elsewhere() {
    let is_of_rules = |is_fresh: bool, deed: &dyn Fn(&std::path::Path)| {
        let source = source();
        let (directory, mut worker) = (directory(&source), worker(&source, Kept::NONE));
        let directory = ListedDirectory { path: b"", id: directory };
        let planned = stat(&source, "big");
        if !is_fresh {
            wait_until_trusted(source.path());
        }
        let file = worker.files.open_file(directory, b"big").unwrap().unwrap();
        deed(&source.path().join("big"));
        let failed = worker.changed_under_way(directory, b"big", &planned, &file);
        let Failure::Changed(changed) = failed else { panic!("{failed:?}") };
        changed.is_of_rules
    };
    let write = |path: &std::path::Path| fs::write(path, "secret").unwrap();
    let rename = |path: &std::path::Path| fs::rename(path, path.with_extension("1")).unwrap();
    let remove = |path: &std::path::Path| fs::remove_file(path).unwrap();
    assert!(!is_of_rules(false, &write));
    assert!(is_of_rules(false, &rename));
    assert!(!is_of_rules(false, &remove));
    assert!(is_of_rules(true, &remove));
    assert!(is_of_rules(false, &|path| {
        write(path);
        remove(path);
    }));
}

#[test]
fn xattrs_go_with_no_content_but_that_of_their_file() {
    let source = source();
    for (is_big, name) in [(false, "small"), (true, "big")] {
        let found = stat(&source, name);
        let read = |kept, planned| match is_big {
            true => read_big(&source, kept, planned).map(drop),
            false => read_small(&source, kept, planned).map(drop),
        };
        let before = Stat { changed: crate::source::FileTime::default(), ..found };
        for planned in [another(found), before] {
            read(Kept::MTIME, planned).unwrap();
            assert!(matches!(read(Kept::XATTRS, planned), Err(Failure::Changed(_))), "{name}");
        }
        read(Kept::XATTRS, found).unwrap();
    }
}

#[test]
fn the_chunks_of_a_hole_are_made_once() {
    const MIB: u64 = 1 << 20;
    let source = source();
    let file = fs::File::create(source.path().join("big")).unwrap();
    file.set_len(9 * MIB + 5).unwrap();
    // The last chunk of the first hole is cut short by this, or has it.
    std::os::unix::fs::FileExt::write_all_at(&file, b"no hole", 4 * MIB + 9).unwrap();
    let mut worker = worker(&source, Kept::NONE);
    let (reply, pieces) = unbounded();
    let (path, planned) = (b"big".to_vec(), stat(&source, "big"));
    let job = FileJob { file: PlannedFile { path, directory: directory(&source), planned }, reply };
    worker.read_file(&job);
    drop(job);
    let zeros = FrameId::of(&vec![0; 1 << 20]);
    let (mut tar_bytes, mut made, mut again, mut last) = (0, 0, 0, None);
    for piece in pieces {
        match piece {
            FilePiece::Chunk(frame) => {
                let frame = frame.recv().unwrap().unwrap();
                assert!(last != Some(zeros) || frame.id != zeros, "it was there");
                (made, last) = (made + 1, Some(frame.id));
                tar_bytes += u64::from(frame.plain_len);
            }
            FilePiece::Again => {
                assert_eq!(last, Some(zeros));
                again += 1;
                tar_bytes += MIB;
            }
            FilePiece::Done(read) => assert_eq!(read.stat.size, 9 * MIB + 5),
            FilePiece::Failed(failure) => panic!("{failure:?}"),
        }
    }
    assert_eq!(tar_bytes, (9 * MIB + 5).next_multiple_of(512));
    assert!(made <= 5 && again >= 5, "{made} made, {again} again");
}

/// Nobody could tell which rules a snapshot was made by.
#[test]
fn what_is_stored_of_an_ignore_file_are_the_rules_that_were_obeyed() {
    let source = source();
    for name in [".floeignore", ".gitignore", "other"] {
        fs::write(source.path().join(name), vec![b'b'; BIG_BYTES]).unwrap();
        let found = stat(&source, name);
        let read = |planned| {
            let file = PlannedFile { path: name.into(), directory: directory(&source), planned };
            read_planned(&source, Kept::NONE, file)
        };
        read(found).unwrap();
        let before = Stat { changed: crate::source::FileTime::default(), ..found };
        assert_eq!(matches!(read(before), Err(Failure::Changed(_))), name != "other", "{name}");
    }
}

#[test]
fn what_the_machine_lacks_is_no_fault_of_a_file() {
    use rustix::io::Errno;
    let planned = stat(&source(), "small");
    for (errno, is_unreadable) in [
        (Errno::ACCESS, true),
        (Errno::IO, true),
        (Errno::MFILE, false),
        (Errno::NFILE, false),
        (Errno::NOMEM, false),
    ] {
        let failed = failure(b"a", &planned, Error::io("cannot open a", errno.into()));
        assert_eq!(matches!(failed, Failure::Unreadable(_)), is_unreadable, "{failed:?}");
        assert_eq!(matches!(failed, Failure::Other(_)), !is_unreadable, "{failed:?}");
    }
}

/// As where another file is mounted over it.
#[test]
fn a_file_of_another_device_is_not_what_was_planned() {
    let planned = Stat::of_file(std::fs::File::open("/").unwrap()).unwrap();
    let saved_anew = Stat { inode: planned.inode + 1, links: 1, ..planned };
    let planned = Stat { links: 1, ..planned };
    let is = |opened: &Stat| is_as_planned(b"file", &planned, opened, Kept::NONE);
    assert!(is(&planned) && is(&saved_anew));
    assert!(!is(&Stat { device: planned.device + 1, ..planned }));
}
