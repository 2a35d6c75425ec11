//! Paths that are kept in little memory: those of files whose other names are still to come.
//!
//! There may be as many as there are files, and all of them wait until the end where the other names are outside of the tree.
//! So a name knows its directory, and that its own.

use floe_format::parent_and_name;

/// How many paths are forgotten before their room is used again.
const FORGOTTEN_AT_LEAST: usize = 1 << 16;

/// Paths, as the names of files and of the directories they are in.
#[derive(Debug, Default)]
pub(super) struct KeptPaths {
    names: Vec<u8>,
    nodes: Vec<Node>,
    forgotten: usize,
    /// The directory of the name that came last, and where in its path each of its components ends, with its node.
    current: Vec<u8>,
    components: Vec<(usize, u32)>,
}

/// A path that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptPath(u32);

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Where its name ends; it begins where the one before ends.
    name_end: usize,
    /// Its directory; itself at the top.
    directory: u32,
}

impl KeptPaths {
    /// Keeps a path; those of one directory best come one after the other.
    pub(super) fn keep(&mut self, path: &[u8]) -> KeptPath {
        let (directory, name) = parent_and_name(path);
        if self.current != directory {
            self.enter(directory);
        }
        let directory = self.components.last().map(|(_, node)| *node);
        KeptPath(self.add(directory, name))
    }

    fn enter(&mut self, directory: &[u8]) {
        let shared = self.current.iter().zip(directory).take_while(|(a, b)| a == b).count();
        let is_in = |end: usize| end <= shared && directory.get(end).is_none_or(|byte| *byte == b'/');
        let kept = self.components.iter().take_while(|(end, _)| is_in(*end)).count();
        self.components.truncate(kept);
        let mut start = self.components.last().map_or(0, |(end, _)| end + 1);
        while start < directory.len() {
            let end = directory[start..]
                .iter()
                .position(|byte| *byte == b'/')
                .map_or(directory.len(), |at| start + at);
            let node = self.add(self.components.last().map(|(_, node)| *node), &directory[start..end]);
            self.components.push((end, node));
            start = end + 1;
        }
        self.current.clear();
        self.current.extend_from_slice(directory);
    }

    fn add(&mut self, directory: Option<u32>, name: &[u8]) -> u32 {
        // So many do not fit in memory.
        let node = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.names.extend_from_slice(name);
        self.nodes.push(Node { name_end: self.names.len(), directory: directory.unwrap_or(node) });
        node
    }

    fn name(&self, node: u32) -> &[u8] {
        let start = (node as usize).checked_sub(1).map_or(0, |before| self.nodes[before].name_end);
        &self.names[start..self.nodes[node as usize].name_end]
    }

    /// What was kept.
    pub(super) fn path(&self, KeptPath(mut node): KeptPath) -> Vec<u8> {
        let mut names = vec![self.name(node)];
        while self.nodes[node as usize].directory != node {
            node = self.nodes[node as usize].directory;
            names.push(self.name(node));
        }
        names.reverse();
        names.join(&b'/')
    }

    /// Notes that one of the paths is not asked for again; `kept` are all that may be.
    pub(super) fn forget<'n>(&mut self, kept: impl Iterator<Item = &'n mut KeptPath>) {
        self.forgotten += 1;
        if self.forgotten < FORGOTTEN_AT_LEAST || self.forgotten < self.nodes.len() / 2 {
            return;
        }
        let before = std::mem::take(self);
        let mut moved = vec![None; before.nodes.len()];
        for KeptPath(node) in kept {
            *node = self.take_over(&before, &mut moved, *node);
        }
    }

    /// Adds a name of others and the directories it is in, as far as they were not `moved` here before.
    fn take_over(&mut self, others: &Self, moved: &mut [Option<u32>], node: u32) -> u32 {
        let mut chain = Vec::new();
        let mut at = Some(node);
        let mut directory = None;
        while let Some(node) = at {
            if let Some(here) = moved[node as usize] {
                directory = Some(here);
                break;
            }
            chain.push(node);
            at = Some(others.nodes[node as usize].directory).filter(|directory| *directory != node);
        }
        for node in chain.into_iter().rev() {
            let here = self.add(directory, others.name(node));
            moved[node as usize] = Some(here);
            directory = Some(here);
        }
        directory.unwrap_or(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_what_they_were_and_take_their_names_alone() {
        let long = ["d".repeat(200), "e".repeat(200)].join("/");
        let mut names = KeptPaths::default();
        let mut kept = Vec::new();
        let mut keep = |names: &mut KeptPaths, path: String| kept.push((names.keep(path.as_bytes()), path));
        for path in ["a", "b/c", "b/cd/e", "b/c/e", "b/c/f", "bc/c", "b", "x/y/z/1", "x/2", "x/y/3"] {
            keep(&mut names, path.to_owned());
        }
        for number in 0..FORGOTTEN_AT_LEAST + 1_000 {
            keep(&mut names, format!("{long}/f{number:05}"));
        }
        for (name, path) in &kept {
            assert_eq!(String::from_utf8_lossy(&names.path(*name)), **path);
        }
        let each = names.names.len() + names.nodes.len() * size_of::<Node>();
        assert!(each <= kept.len() * 23 + 1_000, "{each} bytes for {}", kept.len());

        for _ in 0..FORGOTTEN_AT_LEAST {
            kept.pop();
            names.forget(kept.iter_mut().map(|(name, _)| name));
        }
        assert!(names.nodes.len() < 1_100, "{}", names.nodes.len());
        names.keep(b"b/c/g");
        for (name, path) in &kept {
            assert_eq!(String::from_utf8_lossy(&names.path(*name)), **path);
        }
    }
}
