//! What one file says: the items that it defines, what it imports, and every path that
//! it names.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemUse, Macro, Meta, UseTree, Visibility};

/// A path as it is written, but for inline modules: within them it is put as if it stood
/// at the top of the file.
pub struct Named {
    pub line: usize,
    pub segments: Vec<String>,
    pub is_test: bool,
}

/// One name of a `use`; `*` for a glob.
pub struct Import {
    pub name: String,
    pub path: Named,
    /// Whether others may import it from here.
    pub is_public: bool,
}

#[derive(Default)]
pub struct Contents {
    pub items: BTreeSet<String>,
    /// Structs, enums, unions, traits and type aliases outside of tests, with their lines.
    pub types: Vec<(usize, String)>,
    pub imports: Vec<Import>,
    /// Paths outside of `use`.
    pub paths: Vec<Named>,
    /// The macros that are called, with their lines.
    pub macros: Vec<(usize, String)>,
    /// Modules in files of their own that are compiled for tests alone.
    pub test_modules: Vec<String>,
    /// Inline modules around the present item, and whether it is compiled for tests alone.
    depth: usize,
    in_test: bool,
}

impl Contents {
    pub fn parse(name: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut contents = Self::default();
        contents.visit_file(&file);
        contents
    }

    /// Every path, those of `use` included.
    pub fn all_paths(&self) -> impl Iterator<Item = &Named> {
        let imports = self.imports.iter().map(|import| &import.path);
        self.paths.iter().chain(imports)
    }

    fn named(&self, line: usize, mut segments: Vec<String>) -> Named {
        let climbs = segments.iter().take_while(|segment| *segment == "super");
        let inline = climbs.count().min(self.depth);
        if inline > 0 {
            segments.drain(..inline);
            if segments.first().is_none_or(|segment| segment != "super") {
                segments.insert(0, "self".to_owned());
            }
        }
        Named {
            line,
            segments,
            is_test: self.in_test,
        }
    }

    fn add_path(&mut self, line: usize, segments: Vec<String>) {
        let named = self.named(line, segments);
        self.paths.push(named);
    }

    fn add_imports(&mut self, tree: &UseTree, prefix: &[String], is_public: bool) {
        let (name, last) = match tree {
            UseTree::Path(path) => {
                let prefix = [prefix, &[path.ident.to_string()]].concat();
                return self.add_imports(&path.tree, &prefix, is_public);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_imports(tree, prefix, is_public);
                }
                return;
            }
            UseTree::Name(name) if name.ident == "self" => {
                (prefix.last().cloned().unwrap_or_default(), None)
            }
            UseTree::Name(name) => (name.ident.to_string(), Some(name.ident.clone())),
            UseTree::Rename(name) => (name.rename.to_string(), Some(name.ident.clone())),
            UseTree::Glob(glob) => ("*".to_owned(), Some(Ident::new("_", glob.star_token.span))),
        };
        let line = last.as_ref().map_or(0, line);
        let last = last.map(|last| {
            if name == "*" {
                name.clone()
            } else {
                last.to_string()
            }
        });
        let segments = prefix.iter().cloned().chain(last).collect();
        self.imports.push(Import {
            name,
            path: self.named(line, segments),
            is_public,
        });
    }

    /// The paths in what a macro is called with, which only the macro could parse.
    fn add_tokens(&mut self, tokens: TokenStream, prefix: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |at: usize, mark: char| match tokens.get(at) {
            Some(TokenTree::Punct(punct)) => punct.as_char() == mark,
            _ => false,
        };
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.add_tokens(group.stream(), &[]),
                TokenTree::Ident(first) if at == 0 || !is(at - 1, '.') => {
                    let mut path = prefix.to_vec();
                    path.push(first.to_string());
                    while is(at + 1, ':') && is(at + 2, ':') {
                        match tokens.get(at + 3) {
                            Some(TokenTree::Ident(next)) => path.push(next.to_string()),
                            Some(TokenTree::Group(group))
                                if group.delimiter() == Delimiter::Brace =>
                            {
                                self.add_tokens(group.stream(), &path);
                                path.clear();
                            }
                            _ => break,
                        }
                        at += 3;
                    }
                    if is(at + 1, '!') && !is(at + 2, '=') {
                        self.macros
                            .extend(path.last().map(|name| (line(first), name.clone())));
                    }
                    if !path.is_empty() {
                        self.add_path(line(first), path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn within_test(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let outside = self.in_test;
        self.in_test |= attributes.iter().any(is_for_tests);
        visit(self);
        self.in_test = outside;
    }
}

impl<'ast> Visit<'ast> for Contents {
    fn visit_item(&mut self, item: &'ast Item) {
        let Some((attributes, ident, is_type)) = head(item) else {
            return visit::visit_item(self, item);
        };
        self.within_test(attributes, |this| {
            if let Some(ident) = ident {
                if is_type && !this.in_test {
                    this.types.push((line(ident), ident.to_string()));
                }
                this.items.insert(ident.to_string());
            }
            match item {
                Item::Mod(module) if module.content.is_some() => {
                    this.depth += 1;
                    visit::visit_item(this, item);
                    this.depth -= 1;
                }
                Item::Mod(module) => {
                    this.items.remove(&module.ident.to_string());
                    if this.in_test {
                        this.test_modules.push(module.ident.to_string());
                    }
                }
                _ => visit::visit_item(this, item),
            }
        });
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Fn(function) => &function.attrs,
            ImplItem::Const(constant) => &constant.attrs,
            _ => &[],
        };
        self.within_test(attributes, |this| visit::visit_impl_item(this, item));
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            let is_public = !matches!(item.vis, Visibility::Inherited);
            self.add_imports(&item.tree, &[], is_public);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments = path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string());
            self.add_path(line(&path.segments[0].ident), segments.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        if let Some(last) = call.path.segments.last() {
            self.macros
                .push((line(&last.ident), last.ident.to_string()));
        }
        self.add_tokens(call.tokens.clone(), &[]);
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.add_tokens(list.tokens.clone(), &[]);
        }
        visit::visit_attribute(self, attribute);
    }
}

/// An item's attributes, its name, and whether that names a type.
fn head(item: &Item) -> Option<(&[Attribute], Option<&Ident>, bool)> {
    Some(match item {
        Item::Const(it) => (&it.attrs, Some(&it.ident), false),
        Item::Enum(it) => (&it.attrs, Some(&it.ident), true),
        Item::Fn(it) => (&it.attrs, Some(&it.sig.ident), false),
        Item::Impl(it) => (&it.attrs, None, false),
        Item::Macro(it) => (&it.attrs, it.ident.as_ref(), false),
        Item::Mod(it) => (&it.attrs, Some(&it.ident), false),
        Item::Static(it) => (&it.attrs, Some(&it.ident), false),
        Item::Struct(it) => (&it.attrs, Some(&it.ident), true),
        Item::Trait(it) => (&it.attrs, Some(&it.ident), true),
        Item::Type(it) => (&it.attrs, Some(&it.ident), true),
        Item::Union(it) => (&it.attrs, Some(&it.ident), true),
        Item::Use(it) => (&it.attrs, None, false),
        _ => return None,
    })
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

fn line(ident: &Ident) -> usize {
    ident.span().start().line
}
