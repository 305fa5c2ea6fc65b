//! The imports of a crate, file by file. Each path in the code is resolved, through re-exports, to
//! the file that defines the name. Method calls do not count: only naming a type or a function
//! makes a file depend on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::lexer::{self, Source};

/// Maximum number of re-exports in a path; a longer chain is a re-export of itself.
const REEXPORTS_MAX: usize = 8;

/// A crate, by module path: `tcp::state::marks`; the root is the empty path.
pub(crate) struct Crate {
    modules: BTreeMap<Vec<String>, Module>,
}

struct Module {
    file: String,
    code: String,
    /// Names that the file defines.
    names: BTreeSet<String>,
    /// Names that it imports or re-exports, with the paths they stand for.
    imports: BTreeMap<String, Vec<String>>,
    /// Names that it imports for private use.
    own: BTreeSet<String>,
}

impl Crate {
    /// Reads the crate whose root is in `folder`, without unit tests.
    pub(crate) fn read(root: &Path, folder: &str) -> Self {
        let sources = lexer::collect(root, folder);
        let modules = sources.iter().filter(|source| !source.is_test());
        Self { modules: modules.map(|s| (module_path(&s.path, folder), Module::new(s))).collect() }
    }

    /// Returns, for each file, the files that define the names in it.
    pub(crate) fn imports(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut graph = BTreeMap::new();
        for (path, module) in &self.modules {
            let mut files = BTreeSet::new();
            for name in module.paths() {
                if let Some(file) = self.resolve(path, &name, 0).filter(|file| *file != module.file)
                {
                    files.insert(file);
                }
            }
            graph.insert(module.file.clone(), files);
        }
        graph
    }

    /// Returns the file that defines what `path` names when it stands in module `from`.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<String> {
        let mut at = from.to_vec();
        let mut segments = path.iter();
        let mut rest: Vec<&String> = Vec::new();
        for segment in segments.by_ref() {
            match segment.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => {
                    at.pop();
                }
                _ => {
                    rest.push(segment);
                    break;
                }
            }
        }
        rest.extend(segments);
        for (n, segment) in rest.iter().enumerate() {
            let child: Vec<String> = at.iter().cloned().chain([(*segment).clone()]).collect();
            if self.modules.contains_key(&child) {
                at = child;
                continue;
            }
            let module = self.modules.get(&at)?;
            if module.names.contains(*segment) {
                return Some(module.file.clone());
            }
            let target = module.imports.get(*segment).filter(|_| depth < REEXPORTS_MAX)?;
            let whole: Vec<String> =
                target.iter().cloned().chain(rest[n + 1..].iter().map(|s| (*s).clone())).collect();
            return self.resolve(&at, &whole, depth + 1);
        }
        None
    }
}

impl Module {
    fn new(source: &Source) -> Self {
        let code = source.code_without_tests();
        let (mut imports, mut own) = (BTreeMap::new(), BTreeSet::new());
        for declaration in declarations(&code) {
            let mut found = Vec::new();
            expand(&declaration.tree, &[], &mut found);
            if !declaration.is_reexport {
                own.extend(found.iter().map(|(name, _)| name.clone()));
            }
            imports.extend(found);
        }
        Self { file: source.path.clone(), names: definitions(&code), imports, own, code }
    }

    /// Returns every path in the code except re-exports, whose users depend on the target instead.
    fn paths(&self) -> Vec<Vec<String>> {
        let imported = self.own.iter().map(|name| self.imports[name].clone());
        imported.chain(inline_paths(&self.code)).collect()
    }
}

fn module_path(file: &str, folder: &str) -> Vec<String> {
    let inside = file.strip_prefix(folder).expect("below the folder").trim_start_matches('/');
    let stem = inside.strip_suffix(".rs").expect("a Rust file");
    let mut path: Vec<String> = stem.split('/').map(String::from).collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        path.pop();
    }
    path
}

/// Returns the names of the items that the code defines.
fn definitions(code: &str) -> BTreeSet<String> {
    let keywords =
        ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules!"];
    let words: Vec<&str> = code.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| keywords.contains(&pair[0]));
    let name = |pair: &[&str]| {
        let end = pair[1].find(|c: char| !c.is_alphanumeric() && c != '_');
        pair[1][..end.unwrap_or(pair[1].len())].to_owned()
    };
    pairs.map(name).filter(|name| !name.is_empty()).collect()
}

struct Declaration {
    /// The tree of imports, without spaces; `as` is written `@`.
    tree: String,
    is_reexport: bool,
}

/// Returns the `use` declarations of the code.
fn declarations(code: &str) -> Vec<Declaration> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].trim_end_matches(' ');
        let is_reexport = before.ends_with("pub") || before.ends_with(')');
        if is_reexport || before.is_empty() || before.ends_with(['\n', ';', '}', '{', ']']) {
            let tree = code[at + "use ".len()..].split(';').next().unwrap_or("");
            let tree = tree.split_whitespace().collect::<Vec<_>>().join(" ").replace(" as ", "@");
            found.push(Declaration { tree: tree.replace(' ', ""), is_reexport });
        }
    }
    found
}

/// Expands an import tree such as `a::{b, c as d}`.
fn expand(tree: &str, prefix: &[String], found: &mut Vec<(String, Vec<String>)>) {
    if let Some(open) = tree.find('{') {
        let head = tree[..open].split("::").filter(|s| !s.is_empty()).map(String::from);
        let prefix: Vec<String> = prefix.iter().cloned().chain(head).collect();
        let inside = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        for part in split_outside_braces(inside) {
            expand(part, &prefix, found);
        }
        return;
    }
    let (path, alias) =
        tree.split_once('@').map_or((tree, None), |(path, name)| (path, Some(name)));
    let mut whole: Vec<String> = prefix.to_vec();
    whole.extend(path.split("::").filter(|s| !s.is_empty() && *s != "self").map(String::from));
    if path.starts_with("self") {
        whole.insert(0, "self".into());
    }
    let name = alias.map_or_else(|| whole.last().cloned().unwrap_or_default(), String::from);
    found.push((name, whole));
}

fn split_outside_braces(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0usize, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[from..]);
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

/// Returns the paths in the code itself: everything with `::`, outside `use` declarations.
fn inline_paths(code: &str) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let statements = code.split_inclusive([';', '{', '}']);
    let in_code = statements.filter(|text| !text.split_whitespace().any(|word| word == "use"));
    let words = in_code.flat_map(|text| text.split(move |c: char| !is_path(c)));
    let segments =
        |word: &str| word.split("::").filter(|s| !s.is_empty()).map(String::from).collect();
    words.filter(|word| word.contains("::")).map(segments).collect()
}
