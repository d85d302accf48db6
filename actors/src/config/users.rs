//! Users and groups of this machine, as its files list them.

use std::fs;

/// A user's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
    /// The user's folder.
    pub home: String,
}

/// Reads the files anew: a package may have added a user a moment ago.
#[must_use]
pub fn user(name: &str) -> Option<User> {
    find_user(&fs::read_to_string("/etc/passwd").ok()?, name)
}

/// The number of a group.
#[must_use]
pub fn group(name: &str) -> Option<u32> {
    find_group(&fs::read_to_string("/etc/group").ok()?, name)
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    let row = row(passwd, name, 6)?;
    Some(User {
        uid: row[2].parse().ok()?,
        gid: row[3].parse().ok()?,
        home: row[5].to_owned(),
    })
}

fn find_group(file: &str, name: &str) -> Option<u32> {
    row(file, name, 3)?[2].parse().ok()
}

fn row<'a>(text: &'a str, name: &str, fields_min: usize) -> Option<Vec<&'a str>> {
    let rows = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut fitting = rows.filter(|row| row.len() >= fields_min);
    fitting.find(|row| row[0] == name)
}

#[cfg(test)]
mod tests {
    use super::{User, find_group, find_user};

    #[test]
    fn a_user_and_a_group_are_found_by_their_names() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nnav:x:1001:1002:,,,:/opt/nav:/bin/false\n";
        let nav = User {
            uid: 1001,
            gid: 1002,
            home: "/opt/nav".to_owned(),
        };
        assert_eq!(find_user(passwd, "nav"), Some(nav));
        assert_eq!(find_user(passwd, "broken"), None);
        assert_eq!(find_user(passwd, "1001"), None);
        assert_eq!(find_group("dialout:x:20:nav,bob\n", "dialout"), Some(20));
        assert_eq!(find_group("dialout:x:20:nav,bob\n", "nav"), None);
    }
}
