//! What a push asks of the store.

use floe_testkit::Operation;

use super::{Bench, fill, text, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_small_second_push_asks_little() {
    let bench = Bench::new().await;
    fill(&bench.source());
    bench.push().await.unwrap();
    write(&bench.source().join("d1/inner/f05"), &text(1, 4_100));
    bench.store.clear();
    let pushed = bench.push().await.unwrap();
    let requests: Vec<_> = bench
        .store
        .requests()
        .iter()
        .map(|request| {
            let key = request.key.split('/').nth(1).unwrap().to_owned();
            (request.operation, key)
        })
        .collect();
    assert_eq!(requests.len(), 8, "{requests:?}");
    assert_eq!(bench.store.series_depth(), 6, "{requests:?}");
    assert!(pushed.uploaded_bytes < 80_000, "{}", pushed.uploaded_bytes);
    assert!(!requests.iter().any(|(operation, _)| *operation == Operation::GetRange), "no data is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_push_writes_only_its_lease() {
    let bench = Bench::new().await;
    fill(&bench.source());
    bench.push().await.unwrap();
    bench.store.clear();
    bench.push().await.unwrap();
    let counts = bench.store.counts();
    assert_eq!(counts.get(&Operation::Create), Some(&1));
    assert_eq!(counts.get(&Operation::Get), Some(&2));
    assert_eq!(counts.get(&Operation::Delete), Some(&1));
    assert_eq!(counts.values().sum::<usize>(), 4);
}
