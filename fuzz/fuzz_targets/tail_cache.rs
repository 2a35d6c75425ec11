//! Cached tails of packs, with right sums: what is taken is the whole end of that pack, and its frames are what their ids
//! say.
#![no_main]

use std::sync::{Arc, OnceLock};

use floe_core::fuzzing::TailCache;
use floe_core::store::LocalStore;
use floe_core::{Ambient, ErrorKind, Namespace, NamespaceName};
use floe_format::{PACK_FOOTER_LEN, PackFooter, PackId, PackTail};
use libfuzzer_sys::{Corpus, fuzz_target};

#[path = "scratch.rs"]
mod scratch;
#[path = "sealing.rs"]
#[allow(dead_code, reason = "frames are checked elsewhere")]
mod sealing;

fuzz_target!(|data: &[u8]| -> Corpus {
    let cache = cache();
    let mut bytes = data.to_vec();
    let Some(parts) = sealing::seal(&mut bytes) else { return Corpus::Reject };
    let (id, tail) = (parts.id, &bytes[parts.tail_start..]);
    let Some(footer_at) = tail.len().checked_sub(PACK_FOOTER_LEN) else { return Corpus::Reject };
    let parsed = PackTail::parse(id, parts.pack_len, tail);
    let path = cache.path(&id);
    std::fs::write(&path, tail).unwrap();
    let found = cache.by_id(&id);
    assert_eq!(found.is_some(), parsed.is_ok());
    let footer = PackFooter::decode(id, parts.pack_len, &tail[footer_at..]);
    if let (Ok(parsed), Some((stored, frames))) = (&parsed, found) {
        assert_eq!(stored, tail);
        let records = parsed.segments().iter().chain(parsed.index_segments()).map(|frame| frame.record);
        for (record, read) in records.zip(frames) {
            match read {
                Ok(plain) => {
                    assert_eq!(plain.len(), record.plain_len as usize);
                    assert_eq!(blake3::hash(&plain).as_bytes(), record.id.as_bytes());
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
            }
        }
    }
    if let Ok(footer) = footer {
        assert_eq!(cache.by_shape(&footer).is_some(), parsed.is_ok());
        // One that is damaged is forgotten; one too long is not even read.
        let is_read = tail.len() as u64 <= footer.tail_len();
        assert_eq!(path.exists(), parsed.is_ok() || !is_read);
        cache.remember(&footer, tail);
        assert_eq!(cache.by_shape(&footer).is_some(), parsed.is_ok());
    }
    let _ = std::fs::remove_file(path);
    // A file of one pack under the name of another.
    let other = PackId::from_bytes(id.as_bytes().map(|byte| !byte));
    std::fs::write(cache.path(&other), tail).unwrap();
    assert!(cache.by_id(&other).is_none());
    let _ = std::fs::remove_file(cache.path(&other));
    Corpus::Keep
});

fn cache() -> &'static TailCache {
    static CACHE: OnceLock<TailCache> = OnceLock::new();
    CACHE.get_or_init(|| {
        let directory = scratch::directory();
        let store = Arc::new(LocalStore::new(directory.join("store")).unwrap());
        let namespace = Namespace::open_or_create(store, NamespaceName::default(), Ambient::default());
        let namespace = tokio::runtime::Runtime::new().unwrap().block_on(namespace).unwrap();
        let cache = TailCache::new(&namespace, &directory);
        std::fs::create_dir_all(cache.path(&PackId::from_bytes([0; 16])).parent().unwrap()).unwrap();
        cache
    })
}
