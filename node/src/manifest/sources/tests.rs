//! Files, folders and pipes, and what they say of one another.

use std::fs;
use std::path::Path;

use super::{Source, read};
use crate::manifest::Manifests;

fn named(name: &str) -> String {
    format!(
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {{name: {name}}}\nspec: {{select: \"\"}}\n"
    )
}

fn read_all(folder: &Path, sources: &[&str], mut piped: &[u8]) -> Result<Manifests, String> {
    let place = |source: &&str| match *source {
        "-" => Source::from("-"),
        path => Source::Path(folder.join(path)),
    };
    let sources: Vec<_> = sources.iter().map(place).collect();
    let hidden = format!("{}/", folder.display());
    read(&sources, &mut piped, &[]).map_err(|error| error.to_string().replace(&hidden, ""))
}

fn names(all: &Manifests) -> Vec<&str> {
    all.manifests.iter().map(|one| one.name.as_str()).collect()
}

#[test]
fn a_folders_files_are_read_in_order_but_not_what_lies_deeper_or_is_hidden() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("d/deeper.yaml")).expect("made");
    for (file, name) in [
        ("d/b.yml", "b"),
        ("d/a.yaml", "a"),
        ("d/.hidden.yaml", "hidden"),
        ("d/notes.txt", "notes"),
        ("d/deeper.yaml/e.yaml", "e"),
    ] {
        fs::write(at(file), named(name)).expect("written");
    }
    let json = "{\"apiVersion\": \"regatta/v1\", \"kind\": \"Config\",\n\t\"metadata\": {\"name\": \"c\"}, \"spec\": \
     {\"select\": \"\"}}";
    fs::write(at("d/c.json"), json).expect("written");
    let all = read_all(folder.path(), &["d"], b"").expect("right");
    assert_eq!(names(&all), ["a", "b", "c"]);
    let piped = named("p");
    let all = read_all(folder.path(), &["-", "d/b.yml"], piped.as_bytes()).expect("right");
    assert_eq!(names(&all), ["p", "b"]);
    assert_eq!(all.manifests[0].place.to_string(), "stdin:1:1");
}

#[test]
fn what_is_wrong_in_several_files_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("empty")).expect("made");
    fs::write(at("a.yaml"), named("nav")).expect("written");
    fs::write(at("b.yaml"), format!("# nav, again\n{}", named("nav"))).expect("written");
    fs::write(at("c.yaml"), named("c").replace("select", "selekt")).expect("written");
    let sources = ["a.yaml", "b.yaml", "c.yaml", "empty", "none.yaml"];
    let said = read_all(folder.path(), &sources, b"").expect_err("wrong");
    assert_eq!(
        said,
        "c.yaml:4:7: spec.select: missing; write a selector such as role=amr, or \"\" for every device\n\
         c.yaml:4:8: spec.selekt: unknown field; did you mean \"select\"?\n\
         empty: no file in it ends in .yaml, .yml or .json\n\
         none.yaml: cannot be read: No such file or directory (os error 2)\n\
         b.yaml:2:1: metadata.name: Config \"nav\" stands at a.yaml:1:1 too; keep one of them"
    );
}
