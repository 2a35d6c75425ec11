//! Random trees, written and pulled over each other.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::is_root;
use super::model::{Entry, Model, Node, read_back, write_fresh, write_over};
use super::*;

/// Times that ext4 holds too: 1901 to 2446, without the first second, of which it drops the nanoseconds.
fn mtime() -> impl Strategy<Value = Mtime> {
    let seconds =
        prop_oneof![1 - (1_i64 << 31)..1 << 33, Just(-1), Just(1 - (1 << 31)), Just(0), Just((1 << 32) + 7)];
    let nanoseconds = prop_oneof![Just(0), Just(999_999_999), 0..1_000_000_000_u32];
    (seconds, nanoseconds).prop_map(|(seconds, nanoseconds)| Mtime { seconds, nanoseconds })
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-d]".prop_map(String::into_bytes),
        1 => Just(b"\xff\xfe".to_vec()),
        1 => Just(vec![b'n'; 255]),
        1 => Just(b" \n*".to_vec()),
    ]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        vec(any::<u8>(), 1..40),
        (
            prop::sample::select(vec![4095_usize, 4096, 4097, 65535, 65536, 65537, 200_000]),
            any::<u8>(),
            any::<u16>()
        )
            .prop_map(|(length, byte, at)| {
                let mut content = vec![0; length];
                let at = usize::from(at) % length;
                content[at] = byte;
                content
            }),
    ]
}

fn leaf() -> impl Strategy<Value = Node> {
    prop_oneof![
        4 => content().prop_map(Node::File),
        2 => vec(1_u8..=255, 1..30).prop_map(Node::Symlink),
        1 => Just(Node::Fifo),
        2 => Just(Node::HardLink(Vec::new())),
        3 => Just(Node::Directory),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let mode = prop_oneof![Just(0o644), Just(0o755), Just(0), 0_u32..0o1000];
    let entry =
        move || (leaf(), mode.clone(), mtime()).prop_map(|(node, mode, mtime)| Entry { node, mode, mtime });
    let entries = btree_map(vec(name(), 1..4), entry(), 0..25);
    (entries, mtime()).prop_map(|(entries, root_time)| {
        let root = Entry { node: Node::Directory, mode: 0o750, mtime: root_time };
        let mut model = Model::from([(Vec::new(), root)]);
        for (path, entry) in entries {
            // Above every entry there are directories.
            for depth in 1..path.len() {
                let parent = model.entry(path[..depth].to_vec()).or_insert_with(|| entry.clone());
                parent.node = Node::Directory;
            }
            model.insert(path, entry);
        }
        tie_links(model)
    })
}

/// Makes each hard link a name of a file that is earlier in the snapshot's order, and the same as it in all else.
fn tie_links(mut model: Model) -> Model {
    let mut order: Vec<_> = model.keys().cloned().collect();
    order.retain(|path| !path.is_empty());
    order.sort_by(|a, b| (&a[..a.len() - 1], a.last()).cmp(&(&b[..b.len() - 1], b.last())));
    let mut last_file: Option<(Vec<Vec<u8>>, Entry)> = None;
    for path in order {
        let entry = model.get_mut(&path).unwrap();
        match (&entry.node, &last_file) {
            (Node::File(_), _) => last_file = Some((path, entry.clone())),
            (Node::HardLink(_), Some((first, file))) => {
                *entry = Entry { node: Node::HardLink(first.clone()), ..file.clone() };
            }
            (Node::HardLink(_), None) => {
                entry.node = Node::File(b"first".to_vec());
                last_file = Some((path, entry.clone()));
            }
            (Node::Symlink(_), _) => entry.mode = 0o777,
            _ => {}
        }
    }
    model
}

fn assert_equal(found: &Model, wanted: &Model) {
    for (path, entry) in wanted {
        assert_eq!(found.get(path), Some(entry), "at {path:?}");
    }
    assert_eq!(found.len(), wanted.len(), "{:?}", found.keys().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_is_read_back_as_it_was_written(model in model()) {
        if !is_root("reading directories of mode 000 back") {
            return Ok(());
        }
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("dest");
        write_fresh(&model, &dest, settings());
        assert_equal(&read_back(&dest), &model);
    }

    #[test]
    fn a_tree_pulled_over_any_other_is_that_tree(old in model(), new in model()) {
        if !is_root("reading directories of mode 000 back") {
            return Ok(());
        }
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("dest");
        write_fresh(&old, &dest, settings());
        fs::write(dest.join(".floe-0123456789abcdef-1a.tmp"), b"of a killed pull").unwrap();
        let over = Settings { delete: true, token: 1, ..settings() };
        write_over(&new, &dest, over.clone());
        assert_equal(&read_back(&dest), &new);
        // And then there is nothing left to do.
        prop_assert_eq!(write_over(&new, &dest, over), 0);
        assert_equal(&read_back(&dest), &new);
    }
}

#[test]
fn times_beyond_the_file_system_are_the_nearest_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("dest");
    let staging = Staging::create(&dest, settings()).unwrap();
    let mut worker = staging.tree().worker();
    for (name, seconds) in [(&b"late"[..], i64::MAX), (b"early", i64::MIN)] {
        let meta = Meta { mtime: Some(Mtime { seconds, nanoseconds: 5 }), ..PLAIN };
        let stat = worker.write_small_file(DirId::ROOT, name, &meta, &[b"x"]).unwrap().unwrap();
        assert!(seconds == stat.mtime.seconds || (stat.mtime.seconds > 0) == (seconds > 0));
    }
}
