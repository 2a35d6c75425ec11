//! Refs written through `Namespace::tag` and `Namespace::remove_ref`: every step of `docs/protocol.md` with lost answers,
//! racing writers and a collector in between.

mod collector;
mod collectors;
mod faults;
mod foreign;
mod making;
mod meddler;
mod requests;
mod tagging;

use std::sync::Arc;

use bytes::Bytes;
use floe_core::store::{Conditions, Key, Store};
use floe_core::{
    Ambient, Annotation, Error, Namespace, NamespaceName, RefName, RefRecord, Result, SnapshotAt, Tagged,
};
use floe_format::{
    FrameId, Item, ItemHasher, Kept, Layout, LayoutId, LayoutPack, MIN_DIRECTORY_LEN, MIN_PACK_LEN,
    MIN_TAIL_LEN, Meta, PackId, Parameters, Root, SnapshotId, SnapshotObject, XattrList,
};
use floe_testkit::MemoryStore;

const PACKS: u8 = 2;

/// A namespace in memory with four snapshots in it, and `main`, which named the first and then the second.
struct World {
    memory: MemoryStore,
    /// The whole snapshots 0 to 3.
    at: [SnapshotAt; 4],
}

impl World {
    async fn new() -> Self {
        let memory = MemoryStore::new();
        // Before anything is in it.
        let store = Arc::new(memory.clone());
        Namespace::open_or_create(store, NamespaceName::default(), Ambient::default()).await.unwrap();
        let at = [0, 1, 2, 3].map(|n| put_snapshot(&memory, n));
        let world = Self { memory, at };
        for at in &world.at[..2] {
            world.tag(&world.plain().await, "main", *at).await.unwrap();
        }
        world
    }

    /// The namespace through this store, which wraps the memory.
    async fn through(&self, store: Arc<dyn Store>) -> Namespace {
        let opened = Namespace::open_or_create(store, NamespaceName::default(), Ambient::default()).await;
        opened.unwrap().with_conditions(Conditions::kept())
    }

    /// The namespace with nothing in between.
    async fn plain(&self) -> Namespace {
        self.through(Arc::new(self.memory.clone())).await
    }

    async fn tag(&self, namespace: &Namespace, name: &str, at: SnapshotAt) -> Result<Tagged> {
        namespace.tag(&ref_name(name), at, "test", Annotation::default()).await
    }

    async fn record(&self, name: &str) -> Option<RefRecord> {
        self.plain().await.read_ref(&ref_name(name)).await.unwrap().map(|(record, _)| record)
    }

    /// The objects of the leases that there are.
    fn leases(&self) -> Vec<(Key, Bytes)> {
        let objects = self.memory.objects().into_iter();
        objects.filter(|(key, _)| key.as_str().starts_with("default/leases/")).collect()
    }

    fn remove(&self, key: &str) {
        self.memory.set(&Key::new(format!("default/{key}")).unwrap(), None);
    }
}

/// A change of a ref that has just one way to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// A new ref names what nothing names.
    New,
    /// A ref moves to what nothing names.
    Move,
    /// A ref moves back to what it named before.
    Back,
    /// A ref is removed.
    Remove,
}

const CHANGES: [Change; 4] = [Change::New, Change::Move, Change::Back, Change::Remove];

impl Change {
    fn name(self) -> &'static str {
        if self == Self::New { "new" } else { "main" }
    }

    /// The generation that the change makes.
    fn generation(self) -> u64 {
        if self == Self::New { 1 } else { 3 }
    }

    fn at(self, world: &World) -> Option<SnapshotAt> {
        match self {
            Self::New | Self::Move => Some(world.at[2]),
            Self::Back => Some(world.at[0]),
            Self::Remove => None,
        }
    }

    async fn make(self, world: &World, namespace: &Namespace) -> Result<RefRecord> {
        match self.at(world) {
            Some(at) => match world.tag(namespace, self.name(), at).await? {
                Tagged::Committed(record) => Ok(record),
                Tagged::Unchanged(record) => panic!("{self:?} found {record:?}"),
            },
            None => namespace.remove_ref(&ref_name(self.name()), "test", Annotation::default()).await,
        }
    }

    /// Asserts that the change was made once, and by this record; whatever a collector did to the fence.
    async fn assert_made(self, world: &World, made: &RefRecord, context: &str) {
        let now = world.record(self.name()).await.unwrap();
        assert_eq!(now.current, made.current, "{self:?} {context}");
        assert_eq!(now.history, made.history, "{self:?} {context}");
        assert_eq!(now.current.generation, self.generation(), "{self:?} {context}");
        assert_eq!(now.current.at(), self.at(world), "{self:?} {context}");
    }

    /// Asserts that nothing was changed that anyone can see.
    async fn assert_not_made(self, world: &World, context: &str) {
        let now = world.record(self.name()).await;
        let now = now.filter(|now| now.current.generation > 0);
        assert_eq!(now.as_ref().map_or(0, |now| now.current.generation), self.generation() - 1, "{context}");
        assert_eq!(
            now.and_then(|now| now.current.at()),
            (self != Self::New).then_some(world.at[1]),
            "{context}"
        );
    }
}

fn ref_name(name: &str) -> RefName {
    name.parse().unwrap()
}

fn is_unknown(e: &Error) -> bool {
    e.to_string().starts_with("it is not known whether the ref")
}

fn pack_id(snapshot: u8, n: u8) -> PackId {
    PackId::new(u64::from(snapshot), [n; 10])
}

/// Puts an empty tree, its own directory of mode `n`, into the store, with packs of nothing but their length.
fn put_snapshot(memory: &MemoryStore, n: u8) -> SnapshotAt {
    put_snapshot_at(memory, n, n)
}

/// The same, in packs and a layout of another number.
fn put_snapshot_at(memory: &MemoryStore, n: u8, place: u8) -> SnapshotAt {
    let root = Root {
        kept: Kept::NONE,
        reproducible: false,
        parameters: Parameters::default(),
        length: 1024,
        entries: 0,
        files: 0,
        file_bytes: 0,
        directory: Meta { mode: n.into(), mtime: None, owner: None },
        xattrs: XattrList::default(),
        level: 0,
        items: vec![Item { id: FrameId::of(&[n]), length: 1024, entries: 0, path: Vec::new() }],
    };
    let pack = |m| LayoutPack {
        id: pack_id(place, m),
        has_metadata: true,
        len: MIN_PACK_LEN,
        directory_len: MIN_DIRECTORY_LEN,
        tail_len: MIN_TAIL_LEN,
        item_runs: std::iter::once(0..1).collect(),
    };
    let layout = Layout { packs: (0..PACKS).map(pack).collect(), items: vec![ItemHasher::new().finish()] };
    let (root, layout) = (root.to_bytes().unwrap(), layout.encode().unwrap());
    let at = SnapshotAt { snapshot: SnapshotId::of(&root), layout: LayoutId::from_bytes([place; 16]) };
    let object = SnapshotObject { layout_id: at.layout, root: &root, layout: &layout }.encode().unwrap();
    let key = |rest: String| Key::new(format!("default/{rest}")).unwrap();
    for m in 0..PACKS {
        let body = Bytes::from(vec![0; MIN_PACK_LEN as usize]);
        memory.set(&key(format!("packs/{}", pack_id(place, m))), Some(body));
    }
    memory.set(&key(format!("snapshots/{at}")), Some(object.into()));
    at
}
