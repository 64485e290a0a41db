//! The source files, each with its place among the modules.

use std::fs;
use std::path::Path;

use crate::Contents;

/// A file of one crate.
pub struct Source {
    /// Relative to the repository.
    pub name: String,
    /// The first level of `src/`, or a whole crate below `crates/`.
    pub room: String,
    /// The path of its module, without `crate`.
    pub module: Vec<String>,
    /// Whether it is compiled for tests alone.
    pub is_test: bool,
    pub contents: Contents,
}

impl Source {
    /// `root` is the directory of its crate: `src`, or `crates/NAME/src`.
    pub fn parse(name: &str, root: &str, text: &str) -> Self {
        let path = &name[root.len() + 1..name.len() - ".rs".len()];
        let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
        let mut room = module[0].clone();
        if let Some(krate) = root.strip_prefix("crates/") {
            room = krate.trim_end_matches("/src").to_owned();
        }
        module.pop_if(|last| last == "mod" || last == "lib");
        Self {
            name: name.to_owned(),
            room,
            module,
            is_test: false,
            contents: Contents::parse(name, text),
        }
    }

    /// Where a path that is written in this file begins, and what remains of it: `None`
    /// if it is relative to what this file declares or imports.
    pub fn absolute<'a>(&self, path: &'a [String]) -> Option<(&[String], &'a [String])> {
        match path[0].as_str() {
            "crate" | "offergate" => Some((&[], &path[1..])),
            "self" => Some((&self.module, &path[1..])),
            "super" => {
                let climbs = path.iter().take_while(|segment| *segment == "super");
                let climbs = climbs.count();
                let depth = self.module.len().checked_sub(climbs)?;
                Some((&self.module[..depth], &path[climbs..]))
            }
            _ => None,
        }
    }

    /// The rooms that the file names by an absolute path, each with its line.
    pub fn rooms_named(&self) -> Vec<(usize, String)> {
        let room = |line, segments: &[String]| {
            let (module, rest) = self.absolute(segments)?;
            let room = if module.is_empty() {
                rest.first()
            } else {
                None
            };
            room.map(|room| (line, room.clone()))
        };
        let paths = self.contents.all_paths();
        paths
            .filter_map(|path| room(path.line, &path.segments))
            .collect()
    }
}

/// The source directories of all crates.
pub fn roots() -> Vec<String> {
    let mut roots = vec!["src".to_owned()];
    let crates = fs::read_dir(repository().join("crates"));
    for entry in crates.into_iter().flatten() {
        let name = entry.unwrap().file_name();
        roots.push(format!("crates/{}/src", name.to_string_lossy()));
    }
    roots
}

/// Every Rust file below a directory of the repository: its name and its text.
pub fn rust_files(directory: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut directories = vec![repository().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(repository())
                .unwrap()
                .display()
                .to_string();
            if path.is_dir() && !name.ends_with("node_modules") {
                directories.push(path);
            } else if name.ends_with(".rs") {
                files.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
