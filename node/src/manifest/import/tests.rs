//! Trees of folders as they are found, and the manifests that become of them.

use std::fs;
use std::path::Path;

use regatta_protocol::codec::Name;
use tempfile::TempDir;

use super::{ImportError, Imported, Options, import};
use crate::manifest::{Body, Config, read};

fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("made");
        fs::write(path, bytes).expect("written");
    }
    folder
}

fn options() -> Options {
    Options::new(Name::new("amr").expect("a name"))
}

fn notes(imported: &Imported, folder: &Path) -> Vec<String> {
    let hidden = format!("{}/", folder.display());
    let each = imported.notes.iter().map(ToString::to_string);
    each.map(|note| note.replace(&hidden, "")).collect()
}

fn yaml(imported: &Imported, folder: &Path) -> String {
    imported
        .yaml()
        .replace(&folder.display().to_string(), "/here")
}

#[test]
fn each_folder_of_a_value_becomes_a_document() {
    let folder = tree(&[
        ("nav.yaml", b"max_velocity: 3\nhosts: [a]\n"),
        ("maps/floor.pgm", b"P5"),
        ("country/japan/nav.yaml", b"max_velocity: 2\n"),
        ("country/japan/robot/rgv/arm/limits.json", b"{\"z\": 1.5}\n"),
        ("country/usa/.gitkeep", b""),
    ]);
    let imported = import(folder.path(), &options()).expect("right");
    let expect = "\
apiVersion: regatta/v1
kind: Config
metadata:
  name: amr
spec:
  select: \"\"
  values:
    nav:
      hosts:
        - a
      max_velocity: 3
  lists: merge
  files:
    - path: /opt/amr/nav.yaml
      from: nav
    - path: /opt/amr/maps/floor.pgm
      content: /here/maps/floor.pgm
---
apiVersion: regatta/v1
kind: Config
metadata:
  name: amr-country-japan
spec:
  select: country=japan
  priority: 10
  values:
    nav:
      max_velocity: 2
  lists: merge
  files:
    - path: /opt/amr/nav.yaml
      from: nav
---
apiVersion: regatta/v1
kind: Config
metadata:
  name: amr-country-japan-robot-rgv
spec:
  select: country=japan,robot=rgv
  priority: 20
  values:
    arm:
      limits:
        z: 1.5
  lists: merge
  files:
    - path: /opt/amr/arm/limits.json
      from: arm.limits
";
    assert_eq!(yaml(&imported, folder.path()), expect);
    assert_eq!(
        notes(&imported, folder.path()),
        [
            "country: taken for a label with the values japan, usa: it has only folders in it",
            "country/japan/robot: taken for a label with the values rgv: it has only folders in it",
            "country/usa/.gitkeep: left out: it is hidden",
        ]
    );
}

#[test]
fn what_is_imported_can_be_applied() {
    let folder = tree(&[
        ("nav.yaml", b"a: \"no\"\nb: |\n  x\n  y\n"),
        ("logo.png", b"\x89PNG"),
        ("site/osaka/site.json", b"[1, 2]"),
    ]);
    let imported = import(folder.path(), &options()).expect("right");
    let all = read("x", imported.yaml().as_bytes(), Path::new(""), &[]).expect("right");
    assert_eq!(all.warnings, []);
    assert_eq!(all.manifests.len(), 2);
    for (again, first) in all.manifests.iter().zip(&imported.manifests) {
        let (Body::Config(again), Body::Config(first)) = (&again.body, &first.body);
        let (again, first): (&Config, &Config) = (again, first);
        assert_eq!(again, first);
    }
}

#[test]
fn what_is_not_understood_goes_as_it_is_and_is_told() {
    let folder = tree(&[
        ("bad.yaml", b"a: [\n"),
        ("empty.yaml", b""),
        ("two.yaml", b"a: 1\n---\na: 2\n"),
        ("odd.yaml", b"a:\n  b: 0644\n"),
        ("nav.json", b"{}"),
        ("nav.yaml", b"a: 1\n"),
    ]);
    let imported = import(folder.path(), &options()).expect("right");
    let as_it_is = "goes to devices as it is, not as values";
    assert_eq!(
        notes(&imported, folder.path()),
        [
            format!("bad.yaml: {as_it_is}: line 1: no YAML: unclosed bracket '['"),
            format!("empty.yaml: {as_it_is}: it is empty"),
            format!("nav.yaml: {as_it_is}: nav stands where nav would"),
            format!(
                "odd.yaml: {as_it_is}: line 2: a.b: 0644 begins with a zero, which some take for octal; put it in \
                 quotes, or write the number without it"
            ),
            format!("two.yaml: {as_it_is}: it has several documents"),
        ]
    );
    let text = yaml(&imported, folder.path());
    assert_eq!(text.matches("content: /here/").count(), 5, "{text}");
}

#[test]
fn labels_that_are_named_are_the_only_ones() {
    let files: &[(&str, &[u8])] = &[
        ("maps/floor1/map.pgm", b"P5"),
        ("site/osaka/a.yaml", b"x: 1\n"),
        ("site/notes.txt", b"beside"),
        ("site/os aka/a.yaml", b"x: 1\n"),
        ("site/kobe/site/osaka/a.yaml", b"x: 1\n"),
    ];
    let folder = tree(files);
    let mut options = options();
    options.labels = Some(["site".to_owned()].into());
    options.rendered = false;
    options.root = "/opt/robot/conf".to_owned();
    let imported = import(folder.path(), &options).expect("right");
    let names: Vec<_> = imported
        .manifests
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["amr", "amr-site-osaka"]);
    let text = yaml(&imported, folder.path());
    assert!(
        text.contains("path: /opt/robot/conf/maps/floor1/map.pgm"),
        "{text}"
    );
    assert!(!text.contains("a.yaml"), "values alone: {text}");
    assert_eq!(
        notes(&imported, folder.path()),
        [
            "site/notes.txt: left out: it lies beside values of a label, in none of them",
            "site/kobe/site/osaka: left out: a folder above it is a value of site already",
            "site/os aka: left out: no value of a label: a name has ' ' at character 3; letters, digits, '-', '_', \
             '.' and '/' are allowed",
        ]
    );
}

#[test]
fn long_names_are_cut_and_stay_apart() {
    let long = "x".repeat(64);
    let files = [
        format!("a/{long}/a.yaml"),
        format!("a/{long}/b/{long}/a.yaml"),
    ];
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|file| (file.as_str(), b"x: 1\n".as_slice()))
        .collect();
    // A value's folder with a file beside a label is no label itself.
    let folder = tree(&files);
    let imported = import(folder.path(), &options()).expect("right");
    let names: Vec<_> = imported
        .manifests
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    let x = "x".repeat(57);
    let expect = [
        format!("amr-a-{}", "x".repeat(58)),
        format!("amr-a-{}-2", &x[..56]),
    ];
    assert_eq!(names, expect);
}

#[test]
fn links_are_not_followed() {
    let folder = tree(&[("a.yaml", b"x: 1\n")]);
    std::os::unix::fs::symlink("/", folder.path().join("out")).expect("made");
    let imported = import(folder.path(), &options()).expect("right");
    assert_eq!(
        notes(&imported, folder.path()),
        ["out: left out: neither a file nor a folder"]
    );
}

#[test]
fn a_folder_that_cannot_be_imported_is_refused() {
    let folder = tree(&[]);
    let error = import(folder.path(), &options()).expect_err("empty");
    assert!(matches!(error, ImportError::Empty { .. }), "{error}");
    let error = import(&folder.path().join("none"), &options()).expect_err("not there");
    assert!(
        error
            .to_string()
            .ends_with("none: cannot be read: No such file or directory (os error 2)"),
        "{error}"
    );
    for root in ["opt/x", "/opt/../x", "/opt/x/", "/"] {
        let mut options = options();
        options.root = root.to_owned();
        let error = import(folder.path(), &options).expect_err(root);
        assert_eq!(
            error.to_string(),
            format!("{root:?} is no folder on a device; write it as /opt/nav")
        );
    }
}
