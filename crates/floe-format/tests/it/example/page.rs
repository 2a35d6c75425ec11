//! The page, and its blocks that have a name: "```hex NAME", "```json NAME", "```text NAME".

use std::path::PathBuf;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md")
}

pub(crate) fn read() -> String {
    std::fs::read_to_string(path()).unwrap()
}

fn name(line: &str) -> Option<&str> {
    Some(line.strip_prefix("```")?.split_once(' ')?.1.trim_end())
}

/// The blocks that have a name, each line with its line feed.
pub(crate) fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in page.split_inclusive('\n') {
        if inside {
            inside = line.trim_end() != "```";
            if inside {
                blocks.last_mut().unwrap().1.push_str(line);
            }
        } else if let Some(name) = name(line) {
            blocks.push((name.to_owned(), String::new()));
            inside = true;
        }
    }
    blocks
}

/// Writes the page with other content in its blocks.
pub(crate) fn replace_blocks(page: &str, blocks: &[(&str, String)]) {
    let mut out = String::new();
    let mut inside = false;
    let mut blocks = blocks.iter();
    for line in page.split_inclusive('\n') {
        if inside {
            inside = line.trim_end() != "```";
            if inside {
                continue;
            }
        }
        out.push_str(line);
        if name(line).is_some() {
            out.push_str(&blocks.next().unwrap().1);
            inside = true;
        }
    }
    std::fs::write(path(), out).unwrap();
}
