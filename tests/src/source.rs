//! Reads Rust source as the compiler's parser splits it, without comments, documentation and tests: what an adapter is made of.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that cannot work fails its test")]

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One token and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// The line, from 1.
    pub line: usize,
    /// Its text. Brackets are tokens of their own.
    pub text: String,
}

impl Token {
    /// The text in quotation marks, of a text literal.
    #[must_use]
    pub fn quoted(&self) -> Option<&str> {
        let text = self.text.trim_start_matches(['b', 'c', 'r']).trim_matches('#');
        text.strip_prefix('"')?.strip_suffix('"')
    }

    /// The value of a whole number, however it is written.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let text = self.text.replace('_', "");
        let (radix, digits) = match text.get(..2) {
            Some("0x") => (16, text.get(2..)?),
            Some("0o") => (8, text.get(2..)?),
            Some("0b") => (2, text.get(2..)?),
            _ => (10, &*text),
        };
        let end = digits.find(|digit: char| !digit.is_digit(radix)).unwrap_or(digits.len());
        u64::from_str_radix(digits.get(..end)?, radix).ok()
    }
}

/// The tokens of a source file, and the modules whose files hold tests only.
#[derive(Default, Debug)]
pub struct Source {
    /// The tokens.
    pub tokens: Vec<Token>,
    /// Names of modules, in files of their own, that are compiled for tests only.
    pub test_modules: BTreeSet<String>,
}

impl Source {
    /// Reads a source text.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{error}"));
        let mut source = Self::default();
        source.walk(stream);
        source
    }

    fn walk(&mut self, stream: TokenStream) {
        let mut trees = stream.into_iter().peekable();
        while let Some(tree) = trees.next() {
            if let TokenTree::Punct(punct) = &tree
                && punct.as_char() == '#'
            {
                let inner =
                    trees.next_if(|next| matches!(next, TokenTree::Punct(punct) if punct.as_char() == '!'));
                let Some(TokenTree::Group(attribute)) = trees.peek() else { continue };
                let words = attribute.stream().to_string().replace(' ', "");
                if words.starts_with("doc") {
                    trees.next();
                    continue;
                }
                if words.starts_with("cfg(test") && inner.is_none() {
                    trees.next();
                    self.skip_item(&mut trees);
                    continue;
                }
            }
            self.push(tree);
        }
    }

    /// What belongs to `#[cfg(test)]`: up to its block, or its semicolon.
    fn skip_item(&mut self, trees: &mut impl Iterator<Item = TokenTree>) {
        let mut names: Vec<String> = Vec::new();
        for tree in trees {
            match tree {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
                TokenTree::Punct(punct) if punct.as_char() == ';' => {
                    if let [.., module, name] = &names[..]
                        && module == "mod"
                    {
                        self.test_modules.insert(name.clone());
                    }
                    return;
                }
                TokenTree::Ident(name) => names.push(name.to_string()),
                TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn push(&mut self, tree: TokenTree) {
        let mut token = |line, text: &str| self.tokens.push(Token { line, text: text.to_owned() });
        let TokenTree::Group(group) = tree else {
            return token(tree.span().start().line, &tree.to_string());
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        token(group.span_open().start().line, open);
        self.walk(group.stream());
        self.tokens.push(Token { line: group.span_close().start().line, text: close.to_owned() });
    }

    /// How many lines hold code.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.tokens.iter().map(|token| token.line).collect::<BTreeSet<_>>().len()
    }
}

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The source files of a crate, in the order of their names, without those that hold tests only; paths from the workspace's root.
#[must_use]
pub fn files(folder: &str) -> Vec<(String, Source)> {
    let mut paths = Vec::new();
    list(&root().join(folder).join("src"), &mut paths);
    assert!(!paths.is_empty(), "{folder} has no sources");
    paths.sort();
    let read = |path: &PathBuf| Source::read(&std::fs::read_to_string(path).unwrap());
    let mut files: Vec<(PathBuf, Source)> = paths.iter().map(|path| (path.clone(), read(path))).collect();
    let tests: BTreeSet<String> = files.iter().flat_map(|(_, source)| source.test_modules.clone()).collect();
    files.retain(|(path, _)| !tests.contains(&*path.file_stem().unwrap().to_string_lossy()));
    let shown = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    files.into_iter().map(|(path, source)| (shown(&path), source)).collect()
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, paths);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            paths.push(path);
        }
    }
}
