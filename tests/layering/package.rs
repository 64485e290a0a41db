//! The files of one crate together: to which file a path leads, and which files of a room
//! form a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::source::{Source, rust_files};

pub struct Package {
    pub files: Vec<Source>,
    /// The number of each module's file.
    modules: BTreeMap<Vec<String>, usize>,
}

/// The files that a file names, and by which path.
type Edges = BTreeMap<usize, String>;

impl Package {
    /// Every file of the crate whose source directory this is.
    pub fn read(root: &str) -> Self {
        let files = rust_files(root);
        assert!(!files.is_empty(), "no file in {root}");
        let parse = |(name, text): (String, String)| Source::parse(&name, root, &text);
        Self::new(files.into_iter().map(parse).collect())
    }

    pub fn new(mut files: Vec<Source>) -> Self {
        let modules = files.iter().enumerate();
        let modules = modules.map(|(number, file)| (file.module.clone(), number));
        let modules: BTreeMap<_, _> = modules.collect();
        let mut test_modules = BTreeSet::new();
        for file in &files {
            for name in &file.contents.test_modules {
                test_modules.insert(child(&file.module, name));
            }
        }
        for file in &mut files {
            let mut prefixes = (1..=file.module.len()).map(|length| &file.module[..length]);
            file.is_test = prefixes.any(|prefix| test_modules.contains(prefix));
        }
        Self { files, modules }
    }

    /// The files that are part of a circle, each with a shortest one. Tests do not count.
    /// Nor do imports that only pass a name on: who uses such a name is held to depend
    /// on the file that defines it.
    pub fn circles(&self) -> BTreeMap<String, String> {
        let edges: Vec<Edges> = (0..self.files.len()).map(|file| self.edges(file)).collect();
        let circles = (0..edges.len()).filter_map(|file| {
            let circle = shortest_circle(&edges, file)?;
            let mut text = String::new();
            for (from, to) in circle {
                text += &format!("\n    {}", edges[from][&to]);
            }
            Some((self.files[file].name.clone(), text))
        });
        circles.collect()
    }

    fn edges(&self, number: usize) -> Edges {
        let file = &self.files[number];
        let mut edges = Edges::new();
        if file.is_test {
            return edges;
        }
        let imports = file.contents.imports.iter();
        let private = imports.filter(|import| !import.is_public);
        let paths = file.contents.paths.iter();
        for path in paths.chain(private.map(|import| &import.path)) {
            if path.is_test {
                continue;
            }
            let Some(target) = self.target(number, &path.segments, false, 0) else {
                continue;
            };
            let other = &self.files[target];
            if target != number && other.room == file.room && !other.is_test {
                let text = path.segments.join("::");
                let text = format!("{}:{}: {text} -> {}", file.name, path.line, other.name);
                edges.entry(target).or_insert(text);
            }
        }
        edges
    }

    /// The file with the definition of what a path names that is written in the file
    /// `from`: none for a module, and for what comes from another crate.
    fn target(&self, from: usize, path: &[String], strict: bool, hops: usize) -> Option<usize> {
        // Imports that lead to each other would be followed for ever.
        if hops > 16 {
            return None;
        }
        match self.files[from].absolute(path) {
            Some((module, rest)) => self.find(module, rest, strict, hops),
            None => self.find(&self.files[from].module, path, true, hops),
        }
    }

    /// As [`Self::target`], for a path in a module. What cannot be found is taken for the
    /// work of a macro of the module, unless `strict`.
    fn find(&self, module: &[String], path: &[String], strict: bool, hops: usize) -> Option<usize> {
        let mut module = module.to_vec();
        for (at, name) in path.iter().enumerate() {
            let file = *self.modules.get(&module)?;
            let contents = &self.files[file].contents;
            let child = child(&module, name);
            let is_last = at + 1 == path.len();
            let imports = || {
                contents
                    .imports
                    .iter()
                    .filter(|import| !import.path.is_test)
            };
            let imported = imports().find(|import| import.name == *name);
            if name == "*" || contents.items.contains(name) {
                return Some(file);
            }
            if self.modules.contains_key(&child) && !(is_last && imported.is_some()) {
                module = child;
                continue;
            }
            if let Some(import) = imported {
                let path = [&import.path.segments[..], &path[at + 1..]].concat();
                return self.target(file, &path, strict, hops + 1);
            }
            let globs = imports().filter(|import| import.name == "*");
            let passed_on = globs.filter_map(|glob| {
                let (_, module) = glob.path.segments.split_last()?;
                let path = [module, &path[at..]].concat();
                self.target(file, &path, true, hops + 1)
            });
            return passed_on.min().or_else(|| (!strict).then_some(file));
        }
        None
    }
}

fn child(module: &[String], name: &str) -> Vec<String> {
    [module, &[name.to_owned()]].concat()
}

/// The steps of a shortest way from a file back to itself.
fn shortest_circle(edges: &[Edges], start: usize) -> Option<Vec<(usize, usize)>> {
    let mut came_from = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for &next in edges[at].keys() {
            if came_from.contains_key(&next) {
                continue;
            }
            came_from.insert(next, at);
            if next == start {
                let mut steps = vec![(at, start)];
                while steps[0].0 != start {
                    let to = steps[0].0;
                    steps.insert(0, (came_from[&to], to));
                }
                return Some(steps);
            }
            queue.push_back(next);
        }
    }
    None
}
