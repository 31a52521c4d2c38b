//! Walls inside the folders, computed from the sources; who may know whom between them is in `tidy.rs`.
//!
//! * No circle of files. A file knows another when it names something that lives there, by a path or a `use` that
//!   begins with `crate`, `self`, `super` or a child module. What a module only re-exports lives where it is
//!   defined, and a re-export is no knowledge unless the file uses the name itself. So `mod.rs` may list, and show
//!   to the outside, what is below it; a child may use what its parent defines, as long as the parent, and
//!   whatever else the parent uses, does without the child.
//! * The methods of a type stand in one file: one file with `impl X`, implementations of traits aside.
//! * At most [`FIELDS`] fields of a type are open to other files. What is data through and through, a `pub`
//!   type all of whose fields are `pub`, is exempt, and so is `model`.
//!
//! * A family of plugs is its folder in `drivers`, its folder in `sim`, one in `cli/family` if it has commands of its
//!   own, and a line in each list: no other file has its name, not even in a sentence.
//!
//! Tests are left out: what stands behind `#[cfg(test)]`, and files called `tests`.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Folders, and files with a folder of their own, that keep these rules.
const TIDY: &[&str] =
    &["config", "drivers/meross", "gateway", "hub", "sim/inplug", "sim/meross", "sim/serve", "sinks/mqtt"];

/// Open fields of one type.
const FIELDS: usize = 8;

/// A path as it is written, or a place among the modules.
type Names = Vec<String>;

/// One source file.
#[derive(Debug, Default)]
struct File {
    name: String,
    module: Names,
    uses: Vec<Use>,
    paths: Vec<Names>,
    /// How often each word occurs outside `use`.
    words: BTreeMap<String, usize>,
    impls: Vec<Names>,
    structs: Vec<Struct>,
}

/// One name that a `use` brings.
#[derive(Debug)]
struct Use {
    path: Names,
    alias: String,
    public: bool,
}

/// The fields of a `struct`.
#[derive(Debug)]
struct Struct {
    name: String,
    open: usize,
    is_data: bool,
}

fn is(token: Option<&TokenTree>, what: &str) -> bool {
    token.is_some_and(|token| match token {
        TokenTree::Ident(ident) => ident == what,
        TokenTree::Punct(punct) => what.len() == 1 && what.starts_with(punct.as_char()),
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    })
}

fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<Vec<TokenTree>> {
    let Some(TokenTree::Group(group)) = token else { return None };
    (group.delimiter() == delimiter).then(|| group.stream().into_iter().collect())
}

fn ident(token: Option<&TokenTree>) -> Option<String> {
    let Some(TokenTree::Ident(ident)) = token else { return None };
    Some(ident.to_string())
}

/// `super::child` of `a::b` is `a::child`; `None` for a path that leads out of the program.
fn absolute(module: &[String], path: &[String], is_child: impl Fn(&str) -> bool) -> Option<Names> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" | "super" => {
            let mut base = module.to_vec();
            let ups = path.iter().skip(usize::from(first == "self")).take_while(|part| *part == "super");
            let ups = ups.count();
            base.truncate(base.len().saturating_sub(ups));
            base.extend(path.iter().skip(usize::from(first == "self") + ups).cloned());
            Some(base)
        }
        child if is_child(child) => Some([module, path].concat()),
        _ => None,
    }
}

impl File {
    fn new(name: &str, text: &str) -> Self {
        let module = name.trim_end_matches(".rs").trim_end_matches("/mod");
        let module = module.split('/').map(str::to_owned).filter(|part| part != "lib").collect();
        let mut file = Self { name: name.into(), module, ..Self::default() };
        // An attribute for the whole file is no item.
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        file.items(&tokens.into_iter().collect::<Vec<_>>());
        file
    }

    /// Goes through the items of a file or an inline module.
    fn items(&mut self, tokens: &[TokenTree]) {
        let mut rest = tokens;
        while !rest.is_empty() {
            let (item, after) = first_item(rest);
            rest = after;
            if !is_for_tests(item) {
                self.item(item);
            }
        }
    }

    fn item(&mut self, item: &[TokenTree]) {
        let keyword = keyword(item).unwrap_or(item.len());
        let public = item.iter().take(keyword).any(|token| is(Some(token), "pub"));
        let rest = item.get(keyword + 1..).unwrap_or_default();
        if is(item.get(keyword), "use") {
            return self.use_tree(&[], rest, public);
        }
        if is(item.get(keyword), "impl") {
            self.impls.extend(own_type(rest));
        } else if is(item.get(keyword), "struct") {
            self.structs.extend(fields(rest, item.get(..keyword).unwrap_or_default()));
        } else if let (true, Some(inside)) =
            (is(item.get(keyword), "mod"), group(item.last(), Delimiter::Brace))
        {
            return self.items(&inside);
        }
        self.words_of(item);
    }

    /// Notes words and paths, at any depth.
    fn words_of(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if let TokenTree::Group(group) = token {
                self.words_of(&group.stream().into_iter().collect::<Vec<_>>());
            }
            let mut path = Names::new();
            while let Some(word) = ident(tokens.get(at)) {
                *self.words.entry(word.clone()).or_default() += 1;
                path.push(word);
                if !(is(tokens.get(at + 1), ":") && is(tokens.get(at + 2), ":")) {
                    break;
                }
                at += 3;
            }
            if path.len() > 1 {
                self.paths.push(path);
            }
            at += 1;
        }
    }

    fn use_tree(&mut self, before: &[String], tokens: &[TokenTree], public: bool) {
        for branch in tokens.split(|token| is(Some(token), ",") || is(Some(token), ";")) {
            let mut path = before.to_vec();
            let mut alias = None;
            let mut words = branch.iter().peekable();
            while let Some(token) = words.next() {
                if let Some(inside) = group(Some(token), Delimiter::Brace) {
                    self.use_tree(&path, &inside, public);
                    path.clear();
                } else if is(Some(token), "as") {
                    alias = ident(words.next());
                } else if let Some(word) = ident(Some(token)) {
                    path.push(word);
                }
            }
            if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            if let Some(last) = path.last().cloned() {
                self.uses.push(Use { path, alias: alias.unwrap_or(last), public });
            }
        }
    }
}

/// The word that says what an item is.
fn keyword(item: &[TokenTree]) -> Option<usize> {
    let words = ["use", "static", "const", "fn", "impl", "struct", "enum", "trait", "mod", "type"];
    item.iter().position(|token| words.iter().any(|word| is(Some(token), word)))
}

/// The tokens up to the end of an item, with what stands before it, and the rest.
fn first_item(tokens: &[TokenTree]) -> (&[TokenTree], &[TokenTree]) {
    let ends_by_brace = |before: &[TokenTree]| {
        let word = keyword(before).and_then(|at| before.get(at..)).unwrap_or_default();
        let is_value = is(word.first(), "const") && !is(word.get(1), "fn");
        !is_value && !is(word.first(), "use") && !is(word.first(), "static")
    };
    let end = tokens.iter().enumerate().position(|(at, token)| {
        let brace = group(Some(token), Delimiter::Brace).is_some();
        is(Some(token), ";") || brace && ends_by_brace(tokens.get(..at).unwrap_or_default())
    });
    tokens.split_at(end.map_or(tokens.len(), |end| end + 1))
}

fn is_for_tests(item: &[TokenTree]) -> bool {
    item.windows(2).any(|pair| {
        let content = group(pair.get(1), Delimiter::Bracket).unwrap_or_default();
        let content: String = content.iter().map(ToString::to_string).collect();
        is(pair.first(), "#") && content.replace(' ', "") == "cfg(test)"
    })
}

/// What stands between `<` and its `>` is left out.
fn without_generics(tokens: &[TokenTree]) -> Vec<&TokenTree> {
    let (mut depth, mut arrow) = (0usize, false);
    let mut outside = Vec::new();
    for token in tokens {
        if is(Some(token), "<") {
            depth += 1;
        } else if is(Some(token), ">") && !arrow {
            depth = depth.saturating_sub(1);
        } else if depth == 0 {
            outside.push(token);
        }
        arrow = is(Some(token), "-");
    }
    outside
}

/// The type of an `impl` that is not one of a trait.
fn own_type(tokens: &[TokenTree]) -> Option<Names> {
    let outside = without_generics(tokens);
    let head = outside.iter().take_while(|token| group(Some(token), Delimiter::Brace).is_none());
    let words: Names =
        head.filter_map(|token| ident(Some(token))).take_while(|word| word != "where").collect();
    (!words.iter().any(|word| word == "for")).then_some(words).filter(|words| !words.is_empty())
}

fn fields(tokens: &[TokenTree], before: &[TokenTree]) -> Option<Struct> {
    let name = ident(tokens.first())?;
    let inside = tokens.iter().rev().find_map(|token| {
        group(Some(token), Delimiter::Brace).or_else(|| group(Some(token), Delimiter::Parenthesis))
    })?;
    let restricted = |tokens: &[TokenTree]| {
        tokens
            .windows(2)
            .any(|two| is(two.first(), "pub") && group(two.get(1), Delimiter::Parenthesis).is_some())
    };
    let open = inside.iter().filter(|token| is(Some(token), "pub")).count();
    let colons = without_generics(&inside);
    let all = colons.split(|token| is(Some(token), ",")).filter(|field| !field.is_empty()).count();
    let public = before.iter().any(|token| is(Some(token), "pub")) && !restricted(before);
    Some(Struct { name, open, is_data: public && open == all && !restricted(&inside) })
}

/// All files, and what each knows.
struct House {
    files: Vec<File>,
    modules: BTreeMap<Names, usize>,
}

impl House {
    fn new<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let is_test = |name: &str| name.ends_with("tests.rs") || name.contains("/tests/");
        let files = sources.into_iter().filter(|(name, _)| !is_test(name));
        let mut files: Vec<File> = files.map(|(name, text)| File::new(name, text)).collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let modules = files.iter().enumerate().map(|(at, file)| (file.module.clone(), at)).collect();
        Self { files, modules }
    }

    /// A path of a file, from the root.
    fn absolute(&self, at: usize, path: &[String]) -> Option<Names> {
        let module = &self.files[at].module;
        absolute(module, path, |child| self.modules.contains_key(&[module, &[child.to_owned()][..]].concat()))
    }

    /// The file in which what a path names is defined, and how it is called there.
    fn home(&self, path: &[String], depth: u8) -> Option<(usize, String)> {
        let known = (0..=path.len()).rev().find(|len| self.modules.contains_key(&path[..*len]))?;
        let at = self.modules[&path[..known]];
        let name = path.get(known).cloned().unwrap_or_default();
        let shown = self.files[at].uses.iter().find(|shown| shown.alias == name && !name.is_empty());
        let there = shown.filter(|_| depth > 0).and_then(|shown| self.absolute(at, &shown.path));
        let there = there.and_then(|there| self.home(&there, depth - 1));
        Some(there.unwrap_or((at, name)))
    }

    /// The files that one knows.
    fn knows(&self, at: usize) -> BTreeSet<usize> {
        let file = &self.files[at];
        let used = file.uses.iter().filter(|one| !one.public || file.words.contains_key(&one.alias));
        let paths = used.map(|one| &one.path).chain(&file.paths);
        let homes = paths.filter_map(|path| self.home(&self.absolute(at, path)?, 4));
        homes.map(|(home, _)| home).filter(|home| *home != at).collect()
    }

    /// The files of a folder.
    fn inside(&self, folder: &str) -> BTreeSet<usize> {
        let folder: Names = folder.split('/').map(str::to_owned).collect();
        let inside = self.files.iter().enumerate().filter(|(_, file)| file.module.starts_with(&folder));
        let inside: BTreeSet<usize> = inside.map(|(at, _)| at).collect();
        assert!(!inside.is_empty(), "src/{folder:?} is not there");
        inside
    }

    /// The shortest ways around, one for each file that is on some.
    fn circles(&self, folder: &str) -> Vec<String> {
        let inside = self.inside(folder);
        let knows: BTreeMap<usize, BTreeSet<usize>> =
            inside.iter().map(|at| (*at, &self.knows(*at) & &inside)).collect();
        let mut found = BTreeSet::new();
        for start in &inside {
            let mut ways = VecDeque::from([vec![*start]]);
            let mut seen = BTreeSet::new();
            while let Some(way) = ways.pop_front() {
                let last = way[way.len() - 1];
                if knows[&last].contains(start) {
                    let first = way.iter().enumerate().min_by_key(|(_, file)| **file).unwrap().0;
                    let names = way.iter().cycle().skip(first).take(way.len() + 1);
                    let names: Vec<&str> = names.map(|file| self.files[*file].name.as_str()).collect();
                    found.insert(names.join(" -> "));
                    break;
                }
                for next in knows[&last].iter().filter(|next| seen.insert(**next)) {
                    ways.push_back([&way[..], &[*next]].concat());
                }
            }
        }
        found.into_iter().collect()
    }

    /// Types of which `impl` blocks stand in several files, one of them in this folder.
    fn scattered(&self, folder: &str) -> Vec<String> {
        let inside = self.inside(folder);
        let mut places: BTreeMap<(usize, String), BTreeSet<usize>> = BTreeMap::new();
        for (at, file) in self.files.iter().enumerate() {
            for name in &file.impls {
                let path = file.uses.iter().find(|one| one.alias == name[0]).map_or(name, |one| &one.path);
                let path = self.absolute(at, path).unwrap_or_else(|| [&file.module[..], name].concat());
                let home = self.home(&path, 4).unwrap_or((at, name.concat()));
                places.entry(home).or_default().insert(at);
            }
        }
        let places = places.into_iter().filter(|(_, files)| files.len() > 1 && !files.is_disjoint(&inside));
        let names = |files: BTreeSet<usize>| files.into_iter().map(|file| self.files[file].name.clone());
        places
            .map(|((_, name), files)| format!("{name}: {}", names(files).collect::<Vec<_>>().join(", ")))
            .collect()
    }

    /// Types with more open fields than are allowed.
    fn open(&self, folder: &str) -> Vec<String> {
        let files = self.inside(folder).into_iter().map(|at| &self.files[at]);
        let all = files.flat_map(|file| file.structs.iter().map(move |one| (file, one)));
        let too_open = all.filter(|(file, one)| {
            let data = one.is_data || file.module[0] == "model";
            one.open > FIELDS && !data
        });
        too_open
            .map(|(file, one)| format!("{} in {}: {} open fields", one.name, file.name, one.open))
            .collect()
    }
}

#[test]
fn folders_are_tidy_within() {
    let sources = crate::tidy::sources();
    let house = House::new(sources.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let mut wrong = Vec::new();
    for folder in TIDY {
        wrong.extend(house.circles(folder).into_iter().map(|circle| format!("circle: {circle}")));
        wrong.extend(house.scattered(folder).into_iter().map(|what| format!("scattered: {what}")));
        wrong.extend(house.open(folder).into_iter().map(|what| format!("open: {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where families are listed.
const LISTS: &[&str] = &["drivers/mod.rs", "sim/mod.rs", "cli/family/mod.rs"];

#[test]
fn a_family_is_named_in_its_folders_and_in_the_lists_alone() {
    let sources = crate::tidy::sources();
    let folder = |name: &str| Some(name.strip_prefix("drivers/")?.split_once('/')?.0.to_owned());
    let families: BTreeSet<String> = sources.iter().filter_map(|(name, _)| folder(name)).collect();
    assert!(families.len() > 1, "{families:?}");
    let own = |name: &str| {
        families.iter().any(|family| {
            ["drivers", "sim", "cli/family"]
                .iter()
                .any(|folder| name.starts_with(&format!("{folder}/{family}/")))
        })
    };
    let is_test = |name: &str| name.ends_with("tests.rs") || name.contains("/tests/");
    let mut wrong = Vec::new();
    for (name, text) in sources.iter().filter(|(name, _)| !own(name) && !is_test(name)) {
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in (1..).zip(text.lines()) {
            let listed = LISTS.contains(&name.as_str()) && !line.starts_with("//");
            let low = line.to_lowercase();
            if !listed && families.iter().any(|family| low.contains(family.as_str())) {
                wrong.push(format!("src/{name}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with these sources by one rule.
fn wrong_in(sources: &[(&str, &str)], rule: impl Fn(&House, &str) -> Vec<String>) -> Vec<String> {
    rule(&House::new(sources.iter().copied()), "hub")
}

#[test]
fn circles_are_found_and_lists_of_what_is_below_are_none() {
    let circles = |hub: &str, plug: &str, meter: &str| {
        let sources = [("hub/mod.rs", hub), ("hub/plug.rs", plug), ("hub/meter.rs", meter)];
        wrong_in(&sources, House::circles)
    };
    let fine: [&str; 0] = [];
    let (shows, meter) = ("mod meter; mod plug; pub use meter::Meter;", "pub struct Meter;");
    assert_eq!(circles(shows, "use super::meter::Meter;", meter), fine);
    assert_eq!(circles(shows, "use super::Meter;", meter), fine, "it lives where it is defined");
    assert_eq!(
        circles(shows, "use super::{Meter, meter::X};", "pub struct Meter; fn f(x: super::Y) {}"),
        fine
    );
    let tests = "pub struct Meter; #[cfg(test)] mod tests { use super::super::plug::Plug; }";
    assert_eq!(circles(shows, "use super::Meter;", tests), fine);
    assert_eq!(circles(shows, "use super::Meter;", "/* use super::plug::Plug; */ // super::plug::X"), fine);
    let uses = "mod meter; mod plug; pub use meter::Meter; struct Hub { meter: Meter }";
    assert_eq!(circles(uses, "", "use super::Hub;"), ["hub/meter.rs -> hub/mod.rs -> hub/meter.rs"]);
    let path = "mod meter; struct Hub { plugs: Vec<plug::Plug> }";
    assert_eq!(
        circles(path, "fn f(hub: &mut super::Hub) {}", ""),
        ["hub/mod.rs -> hub/plug.rs -> hub/mod.rs"]
    );
    let each_other = circles("", "use super::meter::{self, Meter as M};", "fn f() { crate::hub::plug::g() }");
    assert_eq!(each_other, ["hub/meter.rs -> hub/plug.rs -> hub/meter.rs"]);
    let in_macros = circles("", "use super::meter::M;", "fn f() { vec![super::plug::P] }");
    assert_eq!(in_macros.len(), 1);
    let three = circles("use plug::Plug;", "use super::meter::M;", "impl super::Hub {}");
    assert_eq!(three, ["hub/meter.rs -> hub/mod.rs -> hub/plug.rs -> hub/meter.rs"]);
}

#[test]
fn methods_of_one_type_in_two_files_are_found() {
    let scattered = |plug: &str, meter: &str| {
        wrong_in(&[("hub/mod.rs", ""), ("hub/plug.rs", plug), ("hub/meter.rs", meter)], House::scattered)
    };
    let plug = "pub struct Plug<'a, T>; impl<'a, T: Fn() -> u8> Plug<'a, T> {} impl<T> Plug<'_, T> {}";
    assert_eq!(scattered(plug, "use super::plug::Plug; impl Into<u8> for Plug<'_, u8> {}").len(), 0);
    assert_eq!(
        scattered(plug, "fn f() -> impl Into<u8> { 1 } struct Plug; impl Plug {}").len(),
        0,
        "another one"
    );
    let two = ["Plug: hub/meter.rs, hub/plug.rs"];
    assert_eq!(scattered(plug, "use super::plug::Plug; impl Plug<'_, u8> {}"), two);
    assert_eq!(
        scattered(plug, "fn f() -> impl Iterator<Item = u8> {} impl super::plug::Plug<'_, u8> {}"),
        two
    );
}

#[test]
fn types_with_many_open_fields_are_found() {
    let open = |text: &str| wrong_in(&[("hub/mod.rs", text)], House::open).len();
    let fields =
        |visible: &str, count: usize| (0..count).map(|n| format!("{visible} f{n}: A<B, C>,")).collect();
    let plug = |own: &str, fields: String| open(&format!("{own} struct Plug {{ last: u8, {fields} }}"));
    assert_eq!(plug("pub", fields("", 20)), 0);
    assert_eq!(plug("pub", fields("pub(super)", FIELDS)), 0);
    assert_eq!(plug("pub", fields("pub(super)", FIELDS + 1)), 1);
    assert_eq!(plug("pub", fields("pub(crate)", FIELDS + 1)), 1);
    assert_eq!(plug("pub", fields("pub", FIELDS + 1)), 1, "data, but for one field");
    let data: String = fields("pub", 20);
    assert_eq!(open(&format!("pub struct Rules {{ {data} }}")), 0);
    assert_eq!(open(&format!("pub(super) struct Rules {{ {data} }}")), 1);
}
