//! A source that will not hold still is planned again, and what of it holds still is read once for all that.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use floe_core::ErrorKind;
use floe_testkit::{bytes_of, wait_until_trusted};

use super::*;

/// The log is the last entry of the tree, so that all the others are read before it is found to have grown. It may hold still
/// for as long as one pass takes that reads nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn where_a_log_grows_all_the_time_all_else_is_read_once() {
    let bench = Bench::new().await;
    fill(&bench.source());
    let log = bench.source().join("z/log");
    fs::create_dir(bench.source().join("z")).unwrap();
    write(&log, b"begun\n");
    let total_bytes: u64 = {
        let dry = PushOptions { dry_run: true, ..bench.options() };
        bench.push_with(&dry).await.unwrap().file_bytes
    };
    fs::remove_dir_all(bench.dir.path().join("cache")).unwrap();
    // Or hashes are not remembered.
    wait_until_trusted(bench.dir.path());
    let stop = Arc::new(AtomicBool::new(false));
    let (is_stopped, grown) = (Arc::clone(&stop), log.clone());
    #[expect(clippy::disallowed_methods, reason = "not all of a core is to go into what changes")]
    let rest = || std::thread::sleep(Duration::from_micros(10));
    let writer = std::thread::spawn(move || {
        let mut log = fs::OpenOptions::new().append(true).open(grown).unwrap();
        while !is_stopped.load(Ordering::Relaxed) {
            log.write_all(b"more\n").unwrap();
            // Or what is read of the log itself is more than all the rest.
            rest();
        }
    });
    let progress = Arc::<PushProgress>::default();
    let pushed = bench.push_telling(&bench.options(), &progress).await;
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    if let Err(error) = pushed {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with("z/log changed while it was read"), "{error}");
    }
    let read_bytes = progress.read_bytes.load(Ordering::Relaxed);
    assert!(read_bytes < total_bytes * 11 / 10, "{read_bytes} bytes were read of {total_bytes}");
    wait_until_trusted(bench.dir.path());
    let pushed = bench.push().await.unwrap();
    bench.assert_pulls_back(&pushed).await;
}

/// Pushes a tree with a `secret` to which a rule comes as soon as that was read; asserts that the secret is nowhere in the
/// store. Until then `others` is done to the tree, again and again.
async fn assert_secret_is_in_no_pack(others: impl Fn(&Path) + Send + 'static) {
    let memory = MemoryStore::new();
    let bench = Bench::on(Arc::new(memory.clone())).await;
    let secret = bytes_of(1, 100_000);
    for (name, content) in [("a", &b"for all"[..]), ("secret", &secret), ("z", b"for all")] {
        write(&bench.source().join(name), content);
    }
    let source = bench.source();
    // As long as it is young it is looked at again in the end, when it is older than this.
    fs::write(source.join(".floeignore"), "").unwrap();
    let progress = Arc::<PushProgress>::default();
    let (told, secret_bytes) = (Arc::clone(&progress), secret.len() as u64);
    let writer = std::thread::spawn(move || {
        while told.read_bytes.load(Ordering::Relaxed) < secret_bytes {
            others(&source);
        }
        fs::write(source.join(".floeignore"), "secret").unwrap();
    });
    let pushed = bench.push_telling(&bench.options(), &progress).await.unwrap();
    writer.join().unwrap();
    assert_eq!(pushed.files, 3);
    let read_bytes = progress.read_bytes.load(Ordering::Relaxed);
    assert!(read_bytes > secret_bytes, "{read_bytes} bytes: it was not read");
    // What was stored of the secret is given up, and all else stored anew.
    assert!(progress.new_file_bytes.load(Ordering::Relaxed) <= pushed.file_bytes);
    for (key, body) in memory.objects() {
        assert!(!body.windows(64).any(|bytes| bytes == &secret[..64]), "{key} has the secret");
    }
}

/// Everybody who reads the store may read all of a pack.
#[tokio::test(flavor = "multi_thread")]
async fn what_ignore_files_keep_out_in_the_end_is_in_no_pack() {
    assert_secret_is_in_no_pack(|_| std::thread::yield_now()).await;
}

/// What is noticed first is that.
#[tokio::test(flavor = "multi_thread")]
async fn nor_is_it_where_something_else_changes_too() {
    assert_secret_is_in_no_pack(|source| {
        let mut log = fs::OpenOptions::new().append(true).open(source.join("z")).unwrap();
        log.write_all(b"more\n").unwrap();
    })
    .await;
}
