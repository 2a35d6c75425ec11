//! Bytes as a person reads them: field by field, in hexadecimal.

use std::fmt::Write;

use crate::stored::Pack;

/// Takes bytes apart, one field after another.
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    out: String,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, out: String::new() }
    }

    /// Shows the next bytes as one field.
    fn take(&mut self, length: usize, what: &str) -> &'a [u8] {
        let field = &self.bytes[self.at..self.at + length];
        let mut what = what;
        if length >= 8 && field.iter().all(|&byte| byte == 0) {
            let zeros = format!("00 × {length}");
            let text = format!("{:5} | {zeros:<47} | {what}", self.at);
            writeln!(self.out, "{}", text.trim_end()).unwrap();
            self.at += length;
            return field;
        }
        for (line, bytes) in field.chunks(16).enumerate() {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = format!("{:5} | {:<47} | {what}", self.at + 16 * line, hex.join(" "));
            writeln!(self.out, "{}", text.trim_end()).unwrap();
            what = "";
        }
        self.at += length;
        field
    }

    /// Shows a field whose trailing zeros are a line of their own.
    fn padded(&mut self, length: usize, what: &str) {
        let field = &self.bytes[self.at..self.at + length];
        let zeros = field.iter().rev().take_while(|&&byte| byte == 0).count();
        if zeros < 8 || zeros == length {
            self.take(length, what);
        } else {
            self.take(length - zeros, what);
            self.take(zeros, "");
        }
    }

    fn int(&mut self, length: usize, what: &str) -> u64 {
        let mut value = [0; 8];
        value[..length].copy_from_slice(&self.bytes[self.at..self.at + length]);
        let value = u64::from_le_bytes(value);
        self.take(length, &format!("{what}: {value}"));
        value
    }

    fn uv(&mut self, what: &str) -> u64 {
        let (mut value, mut length) = (0, 0);
        loop {
            let byte = self.bytes[self.at + length];
            value |= u64::from(byte & 0x7f) << (7 * length);
            length += 1;
            if byte < 0x80 {
                break;
            }
        }
        let shown = match what {
            "mode" => format!("mode: {value:04o} octal"),
            "seconds" => format!("seconds: {}", (value >> 1).cast_signed() ^ -(value & 1).cast_signed()),
            _ => format!("{what}: {value}"),
        };
        self.take(length, &shown);
        value
    }

    fn text(&mut self, what: &str) {
        let length = self.uv(&format!("length of {what}")) as usize;
        let text = self.bytes[self.at..self.at + length].escape_ascii().to_string();
        self.take(length, &format!("{what}: {text}"));
    }

    fn finish(self) -> String {
        assert_eq!(self.at, self.bytes.len(), "fields are missing");
        self.out
    }
}

/// The bytes of a block.
pub(crate) fn parse(block: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in block.lines() {
        let [offset, hex, _] = line.splitn(3, '|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        assert_eq!(offset, bytes.len().to_string(), "{line}");
        match hex.strip_prefix("00 × ") {
            Some(zeros) => bytes.resize(bytes.len() + zeros.parse::<usize>().unwrap(), 0),
            None => bytes.extend(hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap())),
        }
    }
    bytes
}

/// A canonical tar without PAX headers.
pub(crate) fn tar(bytes: &[u8]) -> String {
    let mut fields = Fields::new(bytes);
    while bytes[fields.at] != 0 {
        let header = &bytes[fields.at..fields.at + 512];
        let octal = |digits: &[u8]| u64::from_str_radix(std::str::from_utf8(digits).unwrap(), 8).unwrap();
        let size = octal(&header[124..135]) as usize;
        let name: Vec<u8> = header[..100].iter().copied().take_while(|&byte| byte != 0).collect();
        let kind = match header[156] {
            b'0' => "file",
            b'2' => "symlink",
            _ => "directory",
        };
        fields.padded(100, &format!("name: {}", name.escape_ascii()));
        fields.take(8, &format!("mode: {:04o} octal", octal(&header[100..107])));
        fields.take(8, "user");
        fields.take(8, "group");
        fields.take(12, &format!("size: {size}"));
        fields.take(12, "time: 1980-01-01");
        fields.take(8, &format!("checksum: {}", octal(&header[148..154])));
        fields.take(1, &format!("type: {kind}"));
        fields.padded(100, "target");
        fields.take(8, "ustar, 00");
        fields.take(64, "");
        fields.take(8, "major number");
        fields.take(8, "minor number");
        fields.take(167, "");
        if size > 0 {
            fields.padded(size.next_multiple_of(512), "content and padding");
        }
    }
    fields.take(1024, "the end");
    fields.finish()
}

/// A segment that keeps modification times.
pub(crate) fn segment(bytes: &[u8]) -> String {
    let mut fields = Fields::new(bytes);
    fields.take(4, "magic: FSEG");
    fields.take(1, "version: 1");
    fields.take(1, "kind: tree");
    fields.take(1, "kept: modification times");
    fields.take(1, "flags: the end is the last frame");
    fields.uv("lead");
    let entries = fields.uv("entries");
    let runs = fields.uv("runs");
    for _ in 0..entries {
        let kind = ["directory", "file", "symlink"][usize::from(bytes[fields.at]) - 1];
        fields.take(1, &format!("kind: {kind}"));
        fields.uv("shared");
        fields.text("suffix");
        if kind != "symlink" {
            fields.uv("mode");
        }
        fields.uv("seconds");
        fields.uv("nanoseconds");
        if kind == "file" {
            fields.uv("size");
            fields.take(32, "hash");
        } else if kind == "symlink" {
            fields.text("target");
        }
    }
    for _ in 0..runs {
        fields.uv("count");
        fields.uv("plain length");
        fields.take(32, "FrameId");
    }
    fields.finish()
}

/// A root that lists segments and keeps modification times.
pub(crate) fn root(bytes: &[u8]) -> String {
    let mut fields = Fields::new(bytes);
    fields.take(4, "magic: FLRT");
    fields.take(1, "version: 1");
    fields.take(1, "kind: tree");
    fields.take(1, "kept: modification times");
    fields.take(1, "flags");
    for parameter in ["group_min", "group_max", "small_max", "chunk_min", "chunk_avg", "chunk_max"] {
        fields.int(4, parameter);
    }
    for what in ["length", "entries", "files", "file bytes", "mode", "seconds", "nanoseconds", "level"] {
        fields.uv(what);
    }
    for _ in 0..fields.uv("items") {
        fields.take(32, "id of the segment");
        fields.uv("length");
        fields.uv("entries");
        fields.uv("shared");
        fields.text("suffix");
    }
    fields.finish()
}

fn records(fields: &mut Fields<'_>, count: usize) -> Vec<usize> {
    let mut lengths = Vec::new();
    for _ in 0..count {
        fields.take(32, "FrameId");
        fields.take(16, "BLAKE3-128 of the stored bytes");
        lengths.push(fields.int(4, "stored length") as usize);
        fields.int(3, "plain length");
        fields.take(1, "codec: zstd");
    }
    lengths
}

/// A pack with a data index but no index segments.
pub(crate) fn pack((_, bytes): &Pack) -> String {
    let mut fields = Fields::new(bytes);
    let footer = bytes.len() - 128;
    let at = |offset: usize| {
        u64::from_le_bytes(bytes[footer + offset..footer + offset + 8].try_into().unwrap()) as usize
    };
    fields.take(4, "head: skippable magic");
    fields.int(4, "length");
    fields.take(8, "FLOEPACK");
    fields.int(2, "version");
    fields.take(6, "reserved");
    fields.take(16, "PackId");
    // The lengths of the frames stand behind them.
    let count = (at(16) - 8) / 56;
    let index = 40 + at(8);
    let mut ahead = Fields::new(bytes);
    ahead.at = index + 8;
    for (n, length) in records(&mut ahead, count).into_iter().enumerate() {
        fields.take(length, &format!("data frame {}", n + 1));
    }
    assert_eq!(fields.at, index);
    fields.take(4, "data index: skippable magic");
    fields.int(4, "length");
    records(&mut fields, count);
    fields.take(at(24), "segment");
    fields.take(4, "metadata index: skippable magic");
    fields.int(4, "length");
    records(&mut fields, 1);
    fields.int(8, "footer: length of the pack");
    for part in ["data", "the data index", "segments", "index segments", "the metadata index"] {
        fields.int(8, &format!("length of {part}"));
    }
    fields.int(4, "segments");
    fields.int(4, "index segments");
    fields.take(16, "BLAKE3-128 of the data index");
    fields.take(16, "BLAKE3-128 of the metadata index");
    fields.take(16, "PackId");
    fields.int(2, "version");
    fields.take(6, "reserved");
    fields.take(8, "BLAKE3-256 of the footer, first 8 bytes");
    fields.take(8, "FLOEPEND");
    fields.finish()
}

/// A snapshot object of one pack and one root item.
pub(crate) fn snapshot_object(bytes: &[u8]) -> String {
    let mut fields = Fields::new(bytes);
    fields.take(8, "FLOESNAP");
    fields.int(2, "version");
    fields.take(2, "reserved");
    let root = fields.int(4, "length of the root") as usize;
    fields.int(4, "length of the layout");
    fields.take(4, "reserved");
    fields.take(16, "LayoutId");
    fields.take(16, "BLAKE3-128 of the rest");
    fields.take(root, "root: the bytes above");
    fields.uv("layout: packs");
    fields.take(16, "PackId");
    fields.take(1, "flags: metadata");
    fields.uv("length of the pack");
    fields.uv("length of its directory");
    fields.uv("length of its tail");
    for _ in 0..fields.uv("item runs") {
        fields.uv("root items skipped");
        fields.uv("root items served");
    }
    fields.uv("item: stored length of its data frames");
    fields.take(32, "BLAKE3-256 of their (stored length, stored hash)");
    fields.finish()
}
