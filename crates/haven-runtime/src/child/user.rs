//! Who the process is: looked up in the container's own `/etc/passwd` and `/etc/group`, read by hand.
//!
//! Never through the host's name services, which know other users. The files are the container's: they may be anything,
//! so only a bounded amount of regular files is read, and lines that make no sense are skipped. See passwd(5), group(5).

use crate::plan::UserPlan;
use crate::setback::{Setback, Step};
use haven_sys::root::Root;
use std::io::Read;

/// What of each file is read at most.
const FILE_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups.
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

pub(super) fn resolve(root: &Root, plan: &UserPlan) -> Step<Identity> {
    match plan {
        UserPlan::Numbers { uid, gid, groups } => {
            let passwd = read(root, "/etc/passwd");
            let home = users(&passwd).find(|user| user.uid == *uid).map_or("/", |user| user.home);
            Ok(Identity { uid: *uid, gid: *gid, groups: groups.clone(), home: home.to_owned() })
        }
        UserPlan::Wish { user, groups } => {
            look_up(user, groups, &read(root, "/etc/passwd"), &read(root, "/etc/group"))
        }
    }
}

/// The file's text; empty when there is none that can be read.
fn read(root: &Root, path: &str) -> String {
    let Ok(file) = root.open_file(path) else { return String::new() };
    let mut bytes = Vec::new();
    let _partial = file.take(FILE_BYTES).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/");
        Some(User { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
    })
}

fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    group.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Group { name, gid: gid.parse().ok()?, members: fields.next().unwrap_or("") })
    })
}

/// A number that can be an id; 2^32-1 means "none" to the kernel.
fn id(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|number| *number <= i32::MAX.unsigned_abs())
}

fn look_up(wish: &str, more_groups: &[String], passwd: &str, group: &str) -> Step<Identity> {
    let (user_wish, group_wish) = wish.split_once(':').unwrap_or((wish, ""));
    let user_wish = if user_wish.is_empty() { "0" } else { user_wish };
    let number = id(user_wish);
    let found = users(passwd).find(|user| user.name == user_wish || Some(user.uid) == number);
    let (uid, mut gid, home) = match (&found, number) {
        (Some(user), _) => (user.uid, user.gid, user.home),
        (None, Some(uid)) => (uid, 0, "/"),
        (None, None) => {
            return Err(Setback::request(format!(
                "unable to find user {user_wish}: no matching entries in passwd file"
            ))
            .hint("use a number, or a name of the image's /etc/passwd"));
        }
    };
    let mut supplementary = Vec::new();
    if group_wish.is_empty() {
        if let Some(user) = &found {
            supplementary.extend(
                groups(group)
                    .filter(|group| group.members.split(',').any(|member| member.trim() == user.name))
                    .map(|group| group.gid),
            );
        }
    } else {
        gid = find_group(group_wish, group)?;
    }
    for wish in more_groups {
        supplementary.push(find_group(wish, group)?);
    }
    let mut distinct = Vec::with_capacity(supplementary.len());
    for gid in supplementary {
        if !distinct.contains(&gid) {
            distinct.push(gid);
        }
    }
    Ok(Identity { uid, gid, groups: distinct, home: home.to_owned() })
}

fn find_group(wish: &str, file: &str) -> Step<u32> {
    let number = id(wish);
    groups(file)
        .find(|group| group.name == wish || Some(group.gid) == number)
        .map(|group| group.gid)
        .or(number)
        .ok_or_else(|| {
            Setback::request(format!("unable to find group {wish}: no matching entries in group file"))
                .hint("use a number, or a name of the image's /etc/group")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        nonsense\n\
        app:x:1000:1001::/home/app:/bin/sh\n\
        nohome:x:1002:1002:::\n\
        4242:x:7:8::/odd:\n\
        bad:x:99999999999:1::/:\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\naudio:x:29:app\napp:x:1001:\ndupe:x:10:app\n";

    fn found(wish: &str, more: &[&str]) -> (u32, u32, Vec<u32>, String) {
        let more: Vec<String> = more.iter().map(|text| (*text).to_owned()).collect();
        let identity = look_up(wish, &more, PASSWD, GROUP).unwrap();
        (identity.uid, identity.gid, identity.groups, identity.home)
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        assert_eq!(found("app", &[]), (1000, 1001, vec![10, 29], "/home/app".into()));
        assert_eq!(found("1000", &[]), (1000, 1001, vec![10, 29], "/home/app".into()));
        assert_eq!(found("", &[]), (0, 0, vec![10], "/root".into()));
        assert_eq!(found("5555", &[]), (5555, 0, vec![], "/".into()));
        assert_eq!(found("nohome", &[]).3, "/");
        assert_eq!(found("4242", &[]).0, 7, "a user may be called like a number");
    }

    #[test]
    fn a_group_asked_for_replaces_the_users_own() {
        assert_eq!(found("app:audio", &[]), (1000, 29, vec![], "/home/app".into()));
        assert_eq!(found("app:77", &[]), (1000, 77, vec![], "/home/app".into()));
        assert_eq!(found("5:6", &["audio", "4000", "29"]), (5, 6, vec![29, 4000], "/".into()));
    }

    #[test]
    fn who_isnt_there_is_refused() {
        for wish in ["nobody", "app:nogroup", "bad", "4294967295", "-1"] {
            assert!(look_up(wish, &[], PASSWD, GROUP).is_err(), "{wish}");
        }
        assert!(look_up("app", &["nogroup".into()], PASSWD, GROUP).is_err());
        assert!(look_up("root", &[], "", "").is_err());
        assert!(look_up("0", &[], "", "").is_ok());
    }
}
