//! A file of the crate as the rules see it: its code without comments, literals and tests, and the paths it names.

use std::path::Path;

/// One file below `src/`.
pub struct Source {
    /// Below `src/`.
    pub path: String,
    /// The top-level module it belongs to: `heap`, or `lib` and `main`.
    pub module: String,
    /// As it is.
    pub text: String,
    /// The same lines without comments, literals and `#[cfg(test)]` items.
    pub code: String,
    /// Line and path of each thing of this crate that the code names, without `crate::`.
    pub paths: Vec<(usize, String)>,
    /// Compiled for tests only.
    pub is_test: bool,
    /// Modules that it declares for tests only.
    test_modules: Vec<String>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        // how many `super::` lead from the file's module to the crate
        let depth = parts.len() - usize::from(parts.len() > 1 && parts.last() == Some(&"mod"));
        let (code, test_modules) = without_tests(&without_comments_and_literals(text));
        Source {
            path: path.to_owned(),
            module: parts.first().copied().unwrap_or_default().to_owned(),
            text: text.to_owned(),
            paths: paths(&code, depth),
            code,
            is_test: false,
            test_modules,
        }
    }

    /// Identifiers, keywords and macros (`println!`) with their lines.
    pub fn words<'a>(&'a self) -> impl Iterator<Item = (usize, &'a str)> {
        let words = |line: &'a str| line.split(|c| !is_word(c) && c != '!').map(|w| w.trim_start_matches('!'));
        let lines = self.code.lines().enumerate();
        lines.flat_map(move |(at, line)| words(line).filter(|w| !w.is_empty()).map(move |w| (at + 1, w)))
    }
}

/// Every file of the crate.
pub fn of_the_crate() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file is text");
                let below = path.strip_prefix(&root).expect("it was found below src");
                sources.push(Source::new(&below.to_string_lossy(), &text));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    with_tests_marked(sources)
}

/// Marks the files of modules that are declared under `#[cfg(test)]`.
pub fn with_tests_marked(mut sources: Vec<Source>) -> Vec<Source> {
    let mut stems = Vec::new();
    for source in &sources {
        let folder = match source.path.strip_suffix("/mod.rs") {
            Some(folder) => folder,
            None => source.path.trim_end_matches(".rs"),
        };
        let folder = if matches!(folder, "lib" | "main") { String::new() } else { format!("{folder}/") };
        stems.extend(source.test_modules.iter().map(|name| format!("{folder}{name}")));
    }
    for source in &mut sources {
        let below =
            |stem: &String| source.path.strip_prefix(stem.as_str()).is_some_and(|r| r == ".rs" || r.starts_with('/'));
        source.is_test = stems.iter().any(below);
    }
    sources
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Blanks what is not code; lines stay where they are.
fn without_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut code = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let start = i;
        let before = if i == 0 { ' ' } else { at(i - 1) };
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                while i < chars.len() {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            'r' if (!is_word(before) || before == 'b' || before == 'c') && raw_hashes(&chars[i + 1..]).is_some() => {
                let hashes = raw_hashes(&chars[i + 1..]).unwrap_or(0);
                i += 2 + hashes;
                let ends = |i: usize| at(i) == '"' && (1..=hashes).all(|k| at(i + k) == '#');
                while i < chars.len() && !ends(i) {
                    i += 1;
                }
                i += 1 + hashes;
            }
            '"' => i = past_literal(&chars, i, '"'),
            // a lifetime has no quote after its first letter
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => i = past_literal(&chars, i, '\''),
            _ => {
                code.push(at(i));
                i += 1;
                continue;
            }
        }
        let blanked = chars.iter().take(i.min(chars.len())).skip(start);
        code.extend(blanked.map(|c| if *c == '\n' { '\n' } else { ' ' }));
    }
    code
}

/// How many `#` stand before the quote of a raw string; `None` when none begins.
fn raw_hashes(after: &[char]) -> Option<usize> {
    let hashes = after.iter().take_while(|c| **c == '#').count();
    (after.get(hashes) == Some(&'"')).then_some(hashes)
}

fn past_literal(chars: &[char], start: usize, quote: char) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != quote {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Blanks every item under `#[cfg(test)]`, and tells the modules among them that lie in files of their own.
fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut modules = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let end = item_end(&item[MARK.len()..]) + MARK.len();
        let words: Vec<&str> = item[MARK.len()..end].trim_end_matches(';').split_whitespace().collect();
        if item[..end].ends_with(';')
            && let [.., "mod", name] = words[..]
        {
            modules.push(name.to_owned());
        }
        out.extend(item[..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &item[end..];
    }
    out.push_str(rest);
    (out, modules)
}

/// Where an item ends: behind the brace that closes its first one, or behind a semicolon or comma outside of all.
fn item_end(code: &str) -> usize {
    let (mut braces, mut others) = (0, 0);
    let is_use = code.trim_start().starts_with("use ") || code.trim_start().starts_with("pub use ");
    for (i, c) in code.char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others -= 1,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces < 0 {
                    return i; // the last field of a struct
                }
                if braces == 0 && others == 0 && !is_use {
                    return i + 1;
                }
            }
            ';' | ',' if braces == 0 && others == 0 => return i + 1,
            _ => {}
        }
    }
    code.len()
}

/// The paths of this crate that the code names: after `crate::`, `pymem_tui::`, or enough `super::`.
fn paths(code: &str, depth: usize) -> Vec<(usize, String)> {
    let chars: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        if !is_word(chars[i]) || (i > 0 && (is_word(chars[i - 1]) || chars[i - 1] == ':')) {
            i += 1;
            continue;
        }
        let mut tree = Tree { chars: &chars, at: i, paths: Vec::new() };
        tree.read(&[]);
        for path in tree.paths.iter().filter_map(|path| from_crate(path, depth)) {
            let line = 1 + chars[..i].iter().filter(|c| **c == '\n').count();
            found.push((line, path));
        }
        i = tree.at.max(i + 1);
    }
    found
}

/// A path without what leads to the crate's root; `None` when it does not begin there.
fn from_crate(path: &[String], depth: usize) -> Option<String> {
    let below = match path.first().map(String::as_str)? {
        "crate" | "pymem_tui" => path.get(1..)?,
        // a module within a file would need one more; such modules are tests here
        "super" if path.iter().take_while(|part| *part == "super").count() >= depth => path.get(depth..)?,
        _ => return None,
    };
    (!below.is_empty()).then(|| below.join("::"))
}

/// A path, or a tree of them in braces, as in `use`.
struct Tree<'a> {
    chars: &'a [char],
    at: usize,
    paths: Vec<Vec<String>>,
}

impl Tree<'_> {
    fn peek(&mut self) -> char {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        self.chars.get(self.at).copied().unwrap_or('\0')
    }

    fn read(&mut self, before: &[String]) {
        let mut path = before.to_vec();
        loop {
            match self.peek() {
                '{' if !path.is_empty() => {
                    self.at += 1;
                    loop {
                        let start = self.at;
                        match self.peek() {
                            '}' | '\0' => break,
                            ',' => self.at += 1,
                            _ => self.read(&path),
                        }
                        // whatever is no path (`as Name` and the like) is passed over
                        self.at = self.at.max(start + 1);
                    }
                    self.at += 1;
                    return;
                }
                '*' => {
                    self.at += 1;
                    path.push("*".into());
                }
                c if is_word(c) => path.push(self.word()),
                _ => break,
            }
            let end = self.at;
            if self.peek() == ':' && self.chars.get(self.at + 1) == Some(&':') {
                self.at += 2;
            } else {
                self.at = end;
                break;
            }
        }
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        self.paths.push(path);
        let end = self.at;
        match self.word().as_str() {
            "as" => drop(self.word()),
            _ => self.at = end,
        }
    }

    /// The next word, empty when there is none.
    fn word(&mut self) -> String {
        self.peek();
        let word: String = self.chars[self.at..].iter().take_while(|c| is_word(**c)).collect();
        self.at += word.chars().count();
        word
    }
}
