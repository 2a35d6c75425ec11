//! What keeps a directory of caches from growing for ever.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use crate::ambient::Ambient;

/// One call in so many looks at all files.
const ONE_IN: u8 = 16;

/// How much there may be in one directory of caches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) bytes: u64,
    pub(crate) files: usize,
}

/// Notes that a file of a cache was used, in its time of modification.
pub(crate) fn note_used(file: &File) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
    };
    // Where that is not allowed, it is evicted the sooner.
    let _ = rustix::fs::futimens(file, &times);
}

/// Removes now and then what was used least recently of what has no room: to find that out, all files are looked at.
pub(crate) fn evict_now_and_then(ambient: &Ambient, directory: &Path, room: Room) {
    let [chance] = ambient.random();
    if chance.is_multiple_of(ONE_IN) {
        evict(directory, room);
    }
}

fn evict(directory: &Path, room: Room) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        })
        .collect();
    let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
    let mut count = files.len();
    files.sort();
    for (_, length, path) in files {
        if bytes <= room.bytes && count <= room.files {
            break;
        }
        if fs::remove_file(path).is_ok() {
            bytes -= length;
            count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn what_was_used_least_recently_is_evicted() {
        let cache = tempfile::tempdir().unwrap();
        let room = Room { bytes: 1000, files: 5 };
        let path = |number: u64| cache.path().join(number.to_string());
        let make = |number: u64, bytes: u64| {
            let file = File::create(path(number)).unwrap();
            file.set_len(bytes).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(number)).unwrap();
            file
        };
        let left = || (0..20).filter(|number| path(*number).exists()).collect::<Vec<_>>();
        let files: Vec<_> = (0..8).map(|number| make(number, 10)).collect();
        note_used(&files[1]);
        evict(cache.path(), room);
        assert_eq!(left(), [1, 4, 5, 6, 7], "too many");
        make(10, 965);
        evict(cache.path(), room);
        assert_eq!(left(), [1, 6, 7, 10], "too large");
        make(11, 0);
        evict(cache.path(), room);
        assert_eq!(left(), [1, 6, 7, 10, 11], "there is room");
    }

    #[test]
    fn it_is_done_now_and_then() {
        let cache = tempfile::tempdir().unwrap();
        let path = cache.path().join("x");
        let evicted = |_: &u32| {
            File::create(&path).unwrap();
            evict_now_and_then(&Ambient::default(), cache.path(), Room { bytes: 0, files: 0 });
            !path.exists()
        };
        let times = (0..1000).filter(evicted).count();
        assert!((10..200).contains(&times), "{times} of 1000");
    }
}
