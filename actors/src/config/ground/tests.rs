//! Paths that lead out, links that change, and files that are there wholly or not at all.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Attributes, FileError, Ground};

struct Device {
    folder: tempfile::TempDir,
    ground: Ground,
}

fn device() -> Device {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("opt")).expect("a folder");
    fs::create_dir_all(folder.path().join("etc/nav")).expect("a folder");
    let allowed = vec![PathBuf::from("/opt"), PathBuf::from("/etc/nav")];
    let ground = Ground::new(folder.path().to_owned(), allowed);
    Device { folder, ground }
}

impl Device {
    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn attributes(&self) -> Attributes {
        let own = fs::metadata(self.folder.path()).expect("it is there");
        Attributes {
            mode: 0o640,
            uid: own.uid(),
            gid: own.gid(),
        }
    }

    fn put(&self, path: &str, content: &str) -> Result<(), FileError> {
        let spot = self.ground.spot(path, true)?;
        let spot = spot.expect("its directory is made");
        spot.put(&mut content.as_bytes(), self.attributes())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_gets_its_content_and_its_permissions_and_nothing_stays_beside_it() {
    let device = device();
    device
        .put("/opt/nav/a/params.yaml", "one")
        .expect("written");
    device
        .put("/opt/nav/a/params.yaml", "two")
        .expect("written");
    let file = device.at("opt/nav/a/params.yaml");
    assert_eq!(fs::read_to_string(&file).expect("readable"), "two");
    let mode = fs::metadata(&file).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert_eq!(names(&device.at("opt/nav/a")), ["params.yaml"]);
    let spot = device.ground.spot("/opt/nav/a/params.yaml", false);
    let spot = spot.expect("allowed").expect("there");
    spot.remove().expect("removed");
    spot.remove().expect("it is gone already");
    assert_eq!(names(&device.at("opt/nav/a")), [] as [&str; 0]);
}

#[test]
fn a_path_outside_of_the_allowed_roots_is_refused() {
    let device = device();
    let outside = [
        "/etc/passwd",
        "/etc/navy/x",
        "/opt",
        "/opt/../etc/passwd",
        "opt/x",
        "",
        "/",
        "/etc/nav/../passwd",
    ];
    for path in outside {
        let refused = device.put(path, "x");
        assert!(
            matches!(refused, Err(FileError::Outside { .. })),
            "{path}: {refused:?}"
        );
    }
    assert_eq!(names(&device.at("etc")), ["nav"]);
}

#[test]
fn links_that_stay_within_are_followed_and_those_that_lead_out_are_not() {
    let device = device();
    let secret = device.at("etc/shadow.d");
    fs::create_dir_all(&secret).expect("a folder");
    symlink(&secret, device.at("opt/out")).expect("a link");
    symlink("../etc/shadow.d", device.at("opt/also")).expect("a link");
    for path in ["/opt/out/x", "/opt/also/x", "/opt/out/deeper/x"] {
        let refused = device.put(path, "x");
        assert!(
            matches!(refused, Err(FileError::Link { .. })),
            "{path}: {refused:?}"
        );
    }
    assert_eq!(names(&secret), [] as [&str; 0], "nothing was written there");

    fs::create_dir_all(device.at("opt/v2")).expect("a folder");
    symlink(device.at("opt/v2"), device.at("opt/current")).expect("a link");
    device
        .put("/opt/current/x", "within")
        .expect("it stays within");
    assert_eq!(names(&device.at("opt/v2")), ["x"]);
}

#[test]
fn what_is_no_file_is_left_alone() {
    let device = device();
    symlink("/etc/passwd", device.at("opt/link")).expect("a link");
    fs::create_dir_all(device.at("opt/folder")).expect("a folder");
    for path in ["/opt/link", "/opt/folder"] {
        let refused = device.put(path, "x");
        assert!(
            matches!(refused, Err(FileError::Special { .. })),
            "{path}: {refused:?}"
        );
    }
    assert!(device.at("opt/link").is_symlink());
}

struct Breaks(usize);

impl Read for Breaks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the disk is gone"));
        }
        self.0 -= 1;
        buffer[0] = b'x';
        Ok(1)
    }
}

#[test]
fn a_write_that_breaks_off_leaves_what_was_there() {
    let device = device();
    device.put("/opt/a", "good").expect("written");
    let spot = device.ground.spot("/opt/a", true).expect("allowed");
    let spot = spot.expect("there");
    let broken = spot.put(&mut Breaks(3), device.attributes());
    assert!(
        matches!(broken, Err(FileError::System { .. })),
        "{broken:?}"
    );
    assert_eq!(
        fs::read_to_string(device.at("opt/a")).expect("there"),
        "good"
    );
    assert_eq!(names(&device.at("opt")), ["a"]);
    // What a killed process left is in nobody's way.
    fs::write(device.at("opt/.a.regatta-new"), "half").expect("written");
    device.put("/opt/a", "better").expect("written");
    assert_eq!(names(&device.at("opt")), ["a"]);
}

#[test]
fn a_name_as_long_as_disks_take_is_written_and_removed() {
    let device = device();
    let name = "n".repeat(255);
    let path = format!("/opt/{name}");
    for content in ["one", "two"] {
        device.put(&path, content).expect("written");
        assert_eq!(
            fs::read_to_string(device.at("opt").join(&name)).expect("there"),
            content
        );
    }
    let spot = device
        .ground
        .spot(&path, false)
        .expect("allowed")
        .expect("there");
    spot.discard().expect("nothing is beside it");
    spot.remove().expect("removed");
    assert_eq!(names(&device.at("opt")), [""; 0]);
}
