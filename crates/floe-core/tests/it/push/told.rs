//! What is told while a push goes on.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use floe_core::{PushOutcome, PushProgress};
use floe_testkit::bytes_of;

use super::{Bench, write};

/// Bytes of files that were dealt with, and what of them was new.
async fn told_by_push(bench: &Bench) -> (u64, u64) {
    let progress = Arc::<PushProgress>::default();
    let pushed = bench.push_telling(&bench.options(), &progress).await.unwrap();
    assert!(matches!(pushed.outcome, PushOutcome::Committed(_)));
    let told = |count: &AtomicU64| count.load(Ordering::Relaxed);
    assert_eq!(told(&progress.file_bytes), pushed.file_bytes);
    (told(&progress.file_bytes), told(&progress.new_file_bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_files_that_are_reused_are_told_as_such() {
    let bench = Bench::new().await;
    let big = |round: usize| {
        let mut content = bytes_of(1, 4 << 20).to_vec();
        content[2 << 20] ^= u8::from(round > 0);
        content
    };
    write(&bench.source().join("big"), &big(0));
    write(&bench.source().join("equal"), &vec![0; 4 << 20]);
    fs::create_dir(bench.source().join("small")).unwrap();
    let small: Vec<_> = (0..40).map(|file| bench.source().join(format!("small/{file:02}"))).collect();
    for (file, path) in small.iter().enumerate() {
        write(path, &bytes_of(100 + file as u64, 10_000));
    }
    let (all, new) = told_by_push(&bench).await;
    assert_eq!(all, (8 << 20) + 400_000);
    // Of the zeros there is one frame.
    assert!((all - (4 << 20)..=all - (3 << 20)).contains(&new), "{new} of {all}");

    write(&bench.source().join("big"), &big(1));
    let (_, new) = told_by_push(&bench).await;
    assert!((1..1 << 20).contains(&new), "{new}");

    write(&small[20], &bytes_of(99, 10_000));
    let (_, new) = told_by_push(&bench).await;
    assert!((10_000..200_000).contains(&new), "{new}");

    // None of it was read or stored.
    fs::remove_file(bench.source().join("equal")).unwrap();
    assert_eq!(told_by_push(&bench).await.1, 0);
}

/// It is walked again as if nothing were known of it, and yet nothing of it is reused.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_before_the_source_was_walked_again_is_new() {
    let bench = Bench::new().await;
    for file in 0..20 {
        write(&bench.source().join(format!("{file:02}")), &bytes_of(file, 1_000_000));
    }
    let progress = Arc::<PushProgress>::default();
    let (told, last) = (Arc::clone(&progress), bench.source().join("19"));
    let writer = std::thread::spawn(move || {
        while told.read_bytes.load(Ordering::Relaxed) < 1_000_000 {
            std::thread::yield_now();
        }
        write(&last, &bytes_of(20, 500_000));
    });
    let pushed = bench.push_telling(&bench.options(), &progress).await.unwrap();
    writer.join().unwrap();
    let new = progress.new_file_bytes.load(Ordering::Relaxed);
    assert!(
        new >= pushed.file_bytes && new <= pushed.file_bytes + 1_500_000,
        "{new} of {}",
        pushed.file_bytes
    );
}
