//! What only the sources can tell: texts and macros of `src/`, without those of tests.

use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Attribute, Item, LitStr, Macro, Meta};

use crate::markdown::root;

/// A text in the sources, or the last text of a logging macro.
#[derive(Default)]
pub struct Texts {
    /// Every text.
    pub all: Vec<String>,
    /// Level and message of every event.
    pub events: Vec<(String, String)>,
}

/// The texts of a directory's files.
pub fn texts(directory: &str) -> Texts {
    let mut texts = Texts::default();
    read(&root().join(directory), &mut texts);
    assert!(texts.all.len() > 500, "the reader is blind");
    texts
}

fn read(directory: &Path, texts: &mut Texts) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" && name != "model" && name != "fuzzing" {
            read(&path, texts);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            let file = syn::parse_file(&text).unwrap();
            texts.visit_file(&file);
        }
    }
}

impl<'ast> Visit<'ast> for Texts {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.all.push(text.value());
    }

    /// Documentation is an attribute with a text, too, but an error's message is one of ours.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta
            && list.path.is_ident("error")
        {
            let mut found = Vec::new();
            self.literals(list.tokens.clone(), &mut found);
            self.all.extend(found);
        }
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        let name = called.path.segments.last().unwrap().ident.to_string();
        self.called(&name, called.tokens.clone());
    }
}

impl Texts {
    /// A macro with these arguments, in which others may be called.
    fn called(&mut self, name: &str, arguments: TokenStream) {
        let mut found = Vec::new();
        self.literals(arguments, &mut found);
        if matches!(name, "error" | "warn" | "info")
            && let Some(message) = found.last()
        {
            self.events.push((name.to_uppercase(), message.clone()));
        }
        self.all.extend(found);
    }

    fn literals(&mut self, tokens: TokenStream, found: &mut Vec<String>) {
        let (mut name, mut is_called) = (String::new(), false);
        for token in tokens {
            let was_called = std::mem::take(&mut is_called);
            match token {
                TokenTree::Group(group) if was_called => self.called(&name, group.stream()),
                TokenTree::Group(group) => self.literals(group.stream(), found),
                TokenTree::Literal(literal) => {
                    let text = syn::parse_str::<LitStr>(&literal.to_string());
                    found.extend(text.ok().map(|text| text.value()));
                }
                TokenTree::Ident(ident) => name = ident.to_string(),
                TokenTree::Punct(punct) => is_called = punct.as_char() == '!',
            }
        }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => {
            list.path.is_ident("cfg") && list.tokens.to_string().starts_with("test")
        }
        _ => attribute.path().is_ident("test"),
    })
}
