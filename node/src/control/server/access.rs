//! Who calls: what the kernel says of the other end of the socket, and what that user may do here.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use regatta_protocol::trust::certificate::Capability;
use tokio::net::UnixStream;

use crate::control::api::Problem;

const ROOT: u32 = 0;

/// What a local user may have this node do, at most what its own certificate allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Whatever the node may.
    Node,
    /// These capabilities of the node's.
    Part(Vec<Capability>),
}

/// Whoever is at the other end, as the kernel gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The unix user's id.
    pub uid: u32,
    /// The id of that user's group.
    pub gid: u32,
    /// The process, where the kernel knows it.
    pub pid: Option<i32>,
    /// The unix user's name, where there is one.
    pub user: Option<String>,
    /// What it may do.
    pub rights: Rights,
}

impl Caller {
    /// Whether the caller may use this capability of the node's.
    #[must_use]
    pub fn may(&self, capability: Capability) -> bool {
        match &self.rights {
            Rights::Node => true,
            Rights::Part(capabilities) => capabilities.contains(&capability),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => out.write_str(user),
            None => write!(out, "uid {}", self.uid),
        }
    }
}

/// Who may call.
#[derive(Debug)]
pub struct Access {
    owner: u32,
    group: u32,
    users: BTreeMap<String, Vec<Capability>>,
}

impl Access {
    pub fn new(owner: u32, group: u32, users: BTreeMap<String, Vec<Capability>>) -> Self {
        Self {
            owner,
            group,
            users,
        }
    }

    /// The caller at the other end of `stream`, or the refusal that it gets, which is logged.
    pub fn identify(&self, stream: &UnixStream) -> Result<Caller, Problem> {
        let peer = stream.peer_cred().map_err(|error| {
            tracing::warn!(%error, "the kernel does not say who calls; refused");
            Problem::refused("the kernel does not say who calls on the control socket")
        })?;
        let (uid, gid, pid) = (peer.uid(), peer.gid(), peer.pid());
        let user = user_name(uid);
        let is_member = || gid == self.group || is_member(user.as_deref(), uid, pid, self.group);
        match self.rights(uid, user.as_deref(), is_member) {
            Some(rights) => Ok(Caller {
                uid,
                gid,
                pid,
                user,
                rights,
            }),
            None => {
                tracing::warn!(uid, gid, pid, "refused a caller on the control socket");
                Err(Problem::refused(format!(
                    "user {} may not use this node: become a member of the control socket's group \
                     (gid {}), or have it listed under control.users",
                    user.unwrap_or_else(|| uid.to_string()),
                    self.group
                )))
            }
        }
    }

    fn rights(
        &self,
        uid: u32,
        user: Option<&str>,
        is_member: impl FnOnce() -> bool,
    ) -> Option<Rights> {
        // They could read the keys anyway, so narrowing them would be a pretence.
        if uid == ROOT || uid == self.owner {
            return Some(Rights::Node);
        }
        // Who is listed has what the list says, also as a member of the group.
        if let Some(part) = user.and_then(|user| self.users.get(user)) {
            return Some(Rights::Part(part.clone()));
        }
        is_member().then_some(Rights::Node)
    }
}

fn user_name(uid: u32) -> Option<String> {
    let found = fs::read_to_string("/etc/passwd").ok()?;
    let uid = uid.to_string();
    let row = rows(&found, 3).find(|row| row[2] == uid)?;
    Some(row[0].to_owned())
}

/// Whether a user is a member by the group file, or the process by its supplementary groups, which
/// knows groups of a directory service too. The process could be another by now; but the kernel has
/// checked the socket's mode before, so this is the second lock on one door.
fn is_member(user: Option<&str>, uid: u32, pid: Option<i32>, group: u32) -> bool {
    let by_file = user.is_some_and(|user| {
        let found = fs::read_to_string("/etc/group").unwrap_or_default();
        lists_member(&found, user, group)
    });
    by_file
        || pid.is_some_and(|pid| {
            let found = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            process_is_in(&found, uid, group)
        })
}

fn lists_member(group_file: &str, user: &str, group: u32) -> bool {
    let group = group.to_string();
    rows(group_file, 4)
        .filter(|row| row[2] == group)
        .any(|row| {
            row[3]
                .split(',')
                .any(|member| !member.is_empty() && member == user)
        })
}

fn process_is_in(status: &str, uid: u32, group: u32) -> bool {
    let numbers = |field: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let words = line.unwrap_or_default().split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    };
    numbers("Uid:").contains(&uid) && numbers("Groups:").contains(&group)
}

/// Rows of a file such as /etc/group that have at least so many fields.
fn rows(text: &str, fields_min: usize) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .filter(move |row| row.len() >= fields_min)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = "root:x:0:\nregatta:x:990:ana,bo\nbroken\nother:x:991:eve\n";

    fn access() -> Access {
        let users = [("eve".to_owned(), vec![Capability::DeviceEnrol])];
        Access::new(500, 990, users.into())
    }

    #[test]
    fn rights_follow_user_list_and_group_in_this_order() {
        let of = |uid, user, member: bool| access().rights(uid, user, || member);
        assert_eq!(of(0, Some("root"), false), Some(Rights::Node));
        assert_eq!(of(500, Some("regatta"), false), Some(Rights::Node));
        assert_eq!(of(1000, Some("ana"), true), Some(Rights::Node));
        assert_eq!(of(1001, Some("mallory"), false), None);
        assert_eq!(of(1002, None, false), None);
        let part = Some(Rights::Part(vec![Capability::DeviceEnrol]));
        assert_eq!(of(1003, Some("eve"), false), part);
        assert_eq!(of(1003, Some("eve"), true), part, "listed is narrowed");
    }

    #[test]
    fn a_part_of_the_capabilities_is_no_more_than_that() {
        let caller = Caller {
            uid: 1003,
            gid: 1003,
            pid: None,
            user: Some("eve".to_owned()),
            rights: Rights::Part(vec![Capability::DeviceEnrol]),
        };
        assert!(caller.may(Capability::DeviceEnrol));
        assert!(!caller.may(Capability::Stop));
    }

    #[test]
    fn members_are_found_in_the_group_file_and_in_the_process() {
        assert!(lists_member(GROUPS, "bo", 990));
        assert!(!lists_member(GROUPS, "eve", 990));
        assert!(!lists_member(GROUPS, "", 0), "no member");
        let status = "Name:\tcurl\nUid:\t1000\t1000\t1000\t1000\nGroups:\t27 990 \n";
        assert!(process_is_in(status, 1000, 990));
        assert!(!process_is_in(status, 1000, 99));
        assert!(!process_is_in(status, 1001, 990), "another process by now");
    }
}
