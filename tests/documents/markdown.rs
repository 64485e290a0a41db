//! The documents, as far as their structure is needed: headings, tables, blocks, links.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document.
pub struct Page {
    /// Its path below the repository.
    pub name: String,
    pub text: String,
}

/// A fenced block.
pub struct Block {
    /// `page:line` of the fence.
    pub place: String,
    pub language: String,
    /// What the comment before it says: `runnable` in `<!-- runnable -->`.
    pub marker: String,
    /// Without the fence's indentation.
    pub text: String,
}

/// A table.
pub struct Table {
    /// The last heading before it.
    pub heading: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// The documents whose sentences are checked.
pub fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
        .map(PathBuf::from)
        .into();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

/// One of them.
pub fn page(name: &str) -> Page {
    Page::read(Path::new(name))
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(root().join(path));
        Self {
            name: path.display().to_string(),
            text: text.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        }
    }

    /// Lines outside of blocks, with their numbers.
    pub fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut in_block = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            in_block ^= is_fence;
            !in_block && !is_fence
        })
    }

    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose().filter_map(|(_, line)| heading(line));
        headings.map(anchor).collect()
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let (mut open, mut before) = (None, "");
        for (number, line) in (1..).zip(self.text.lines()) {
            let trimmed = line.trim_start();
            match (open, trimmed.strip_prefix("```")) {
                (None, Some(language)) => {
                    open = Some(line.len() - trimmed.len());
                    let marker = before.strip_prefix("<!-- ");
                    blocks.push(Block {
                        place: format!("{}:{number}", self.name),
                        language: language.to_owned(),
                        marker: marker
                            .and_then(|rest| rest.strip_suffix(" -->"))
                            .unwrap_or_default()
                            .to_owned(),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => open = None,
                (Some(indent), None) => {
                    let text = &mut blocks.last_mut().unwrap().text;
                    text.push_str(line.get(indent..).unwrap_or_default());
                    text.push('\n');
                }
                (None, None) => {}
            }
            if !trimmed.is_empty() {
                before = trimmed;
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.name);
        blocks
    }

    pub fn tables(&self) -> Vec<Table> {
        let (mut tables, mut last) = (Vec::<Table>::new(), "");
        let mut in_table = false;
        for (_, line) in self.prose() {
            if let Some(heading) = heading(line) {
                last = heading;
            }
            if !line.starts_with('|') {
                in_table = false;
                continue;
            }
            let cells = cells(line);
            if !in_table {
                in_table = true;
                tables.push(Table {
                    heading: last.to_owned(),
                    header: cells,
                    rows: Vec::new(),
                });
            } else if !cells.iter().all(|cell| cell.starts_with("---")) {
                let table = tables.last_mut().unwrap();
                let columns = table.header.len();
                assert_eq!(cells.len(), columns, "{}: {line}", self.name);
                table.rows.push(cells);
            }
        }
        tables
    }

    /// The tables with this header, together.
    #[track_caller]
    pub fn rows(&self, header: &str) -> Vec<Vec<String>> {
        let tables = self.tables().into_iter();
        let rows: Vec<_> = tables
            .filter(|table| table.header.join(" | ") == header)
            .flat_map(|table| table.rows)
            .collect();
        assert!(!rows.is_empty(), "{}: no table | {header} |", self.name);
        rows
    }
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len())
        .then(|| text.strip_prefix(' '))
        .flatten()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// The cells of a row; a bar in code does not separate them.
fn cells(line: &str) -> Vec<String> {
    let mut is_code = false;
    let line = line.trim().trim_start_matches('|').trim_end_matches('|');
    let cells = line.split(|c| {
        is_code ^= c == '`';
        c == '|' && !is_code
    });
    cells.map(|cell| cell.trim().to_owned()).collect()
}

/// The code spans of a text.
pub fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The only code span of a cell.
#[track_caller]
pub fn only_code(cell: &str) -> &str {
    let spans = code(cell);
    assert_eq!(spans.len(), 1, "{cell}");
    spans[0]
}

#[test]
fn the_structure_of_a_document_is_read() {
    let page = Page {
        name: "x".to_owned(),
        text: "# A b\n\n| a | b |\n|---|---|\n| `x|y` | z |\n\n## C, d's\n\n<!-- runnable -->\n   \
               ```sh\n   one\n     two\n   ```\n"
            .to_owned(),
    };
    let anchors: Vec<String> = page.anchors().into_iter().collect();
    assert_eq!(anchors, ["a-b", "c-ds"]);
    assert_eq!(page.rows("a | b"), [["`x|y`", "z"]]);
    let blocks = page.blocks();
    assert_eq!(blocks[0].text, "one\n  two\n");
    assert_eq!(
        (blocks[0].marker.as_str(), blocks[0].language.as_str()),
        ("runnable", "sh")
    );
}
