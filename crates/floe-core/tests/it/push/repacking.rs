//! Many small pushes, of which each adds a pack: packs stay few, and nobody pays for it but the push that copies.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use floe_core::store::{Key, Store};
use floe_core::{PushOutcome, PushProgress, Pushed, Snapshot, VerifyOptions, verify};
use floe_testkit::{MemoryStore, Operation, wait_until_trusted};

use super::{Bench, fill, text, write};

impl Bench {
    async fn change_and_push(&self, round: u64, progress: &Arc<PushProgress>) -> Pushed {
        // Another file each time, so that something of each pack stays in use.
        write(&self.source().join(format!("d{}/new{round:02}", round % 4)), &text(round, 90_000));
        self.push_telling(&self.options(), progress).await.unwrap()
    }

    async fn packs_of(&self, pushed: &Pushed) -> Vec<Key> {
        let snapshot = Snapshot::open(&self.namespace, pushed.at).await.unwrap();
        let keys = snapshot.layout().packs.iter().map(|pack| format!("default/packs/{}", pack.id));
        keys.map(|key| Key::new(key).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_pushes_keep_to_few_packs() {
    let bench = Bench::new().await;
    fill(&bench.source());
    // Or hashes are not remembered.
    wait_until_trusted(bench.dir.path());
    bench.push().await.unwrap();
    let (mut most, mut before, mut repacked) = (0, 0, 0);
    for round in 0..60 {
        let progress = Arc::default();
        let pushed = bench.change_and_push(round, &progress).await;
        let read = progress.read_bytes.load(Ordering::Relaxed);
        assert!(read < 1_000_000, "only the changed file and its group are read, not {read} bytes");
        let count = bench.packs_of(&pushed).await.len();
        most = most.max(count);
        if count < before {
            repacked += 1;
            bench.assert_pulls_back(&pushed).await;
        }
        before = count;
        // However many packs there are, who changes nothing pays nothing.
        bench.store.clear();
        let again = bench.push().await.unwrap();
        assert!(matches!(again.outcome, PushOutcome::Unchanged(_)));
        assert_eq!(again.uploaded_bytes, 0);
        assert_eq!(bench.store.counts().values().sum::<usize>(), 4, "round {round}");
    }
    assert!((20..=32).contains(&most), "{most} packs");
    assert!((1..=3).contains(&repacked), "repacked {repacked} times");
    let verified = verify(&bench.namespace, &VerifyOptions::default()).await.unwrap();
    assert_eq!(verified.damages, []);
}

/// What is used of them may lie at both ends of long packs; the rest is not read.
#[tokio::test(flavor = "multi_thread")]
async fn of_long_packs_only_what_is_used_is_read() {
    const LONG_BYTES: usize = 3 << 20;
    let bench = Bench::new().await;
    let (mut most, mut count) = (0, 0);
    for round in 0..40 {
        // In the order of the tree, so the long one stands between the others, in the pack too.
        let directory = bench.source().join(format!("{round:02}"));
        std::fs::create_dir(&directory).unwrap();
        write(&directory.join("a"), &text(round, 90_000));
        write(&directory.join("b"), &floe_testkit::bytes_of(round, LONG_BYTES));
        write(&directory.join("c"), &text(1_000 + round, 90_000));
        if round > 0 {
            std::fs::remove_file(bench.source().join(format!("{:02}/b", round - 1))).unwrap();
        }
        bench.store.clear();
        let pushed = bench.push().await.unwrap();
        let received = bench.store.received_bytes();
        assert!(received < LONG_BYTES as u64, "round {round}: {received} bytes received");
        count = bench.packs_of(&pushed).await.len();
        most = most.max(count);
        if round % 8 == 7 {
            bench.assert_pulls_back(&pushed).await;
        }
    }
    assert!(count < most, "nothing was copied");
    let verified = verify(&bench.namespace, &VerifyOptions::default()).await.unwrap();
    assert_eq!(verified.damages, []);
}

/// Each directory has segments of its own, and frames that are in it twice.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_used_of_a_pack_is_copied_and_once() {
    const TWICE_BYTES: usize = 1_500_000;
    let bench = Bench::new().await;
    let (mut before, mut repacked) = (0, 0);
    for round in 0..40 {
        let directory = bench.source().join(format!("{round:02}"));
        std::fs::create_dir(&directory).unwrap();
        for file in 0..400 {
            write(&directory.join(format!("{file:03}")), format!("{file} of {round}").as_bytes());
        }
        let twice = floe_testkit::bytes_of(round, TWICE_BYTES);
        write(&directory.join("a"), &twice);
        write(&directory.join("b"), &twice);
        let pushed = bench.push().await.unwrap();
        let count = bench.packs_of(&pushed).await.len();
        if count < before {
            repacked += 1;
            let all_bytes = (round + 1) * TWICE_BYTES as u64;
            assert!(pushed.uploaded_bytes < all_bytes + all_bytes / 4, "{} bytes", pushed.uploaded_bytes);
            // As many as were chosen are gone.
            assert!(count < before * 2 / 3, "{before} packs, then {count}");
            bench.assert_pulls_back(&pushed).await;
        }
        before = count;
    }
    assert_eq!(repacked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_is_not_copied_and_stays_to_be_found() {
    let memory = MemoryStore::new();
    let bench = Bench::on(Arc::new(memory.clone())).await;
    fill(&bench.source());
    bench.push().await.unwrap();
    // Smaller than what is pushed after it, so that it would be copied.
    write(&bench.source().join("d0/damaged"), &text(0, 66_000));
    let pushed = bench.push().await.unwrap();
    // The pack that this push wrote comes first.
    let damaged = bench.packs_of(&pushed).await.remove(0);
    let mut bytes = memory.get(&damaged, u64::MAX).await.unwrap().0.to_vec();
    bytes[100] ^= 1;
    memory.set(&damaged, Some(bytes.into()));
    let mut reads = 0;
    for round in 1..40 {
        bench.store.clear();
        let pushed = bench.change_and_push(round, &Arc::default()).await;
        reads += bench.store.counts().get(&Operation::GetRange).copied().unwrap_or(0);
        assert!(bench.packs_of(&pushed).await.contains(&damaged), "round {round}");
    }
    assert!(reads > 10, "there was a push that copied: {reads}");
    let verified = verify(&bench.namespace, &VerifyOptions::default()).await.unwrap();
    assert!(
        verified.damages.iter().any(|damage| damage.object == damaged.to_string()),
        "{:?}",
        verified.damages
    );
}
