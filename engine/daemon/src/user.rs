//! Whom a daemon runs as.

/// A user without rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// Its group's.
    pub gid: u32,
}

/// Where there is no such user: a number that nobody else has. `nobody` itself is shared, so its processes could read the keys;
/// so is 65532, by which many images run.
const NO_ONE: User = User {
    uid: 65521,
    gid: 65521,
};

impl User {
    /// The user of this name in `/etc/passwd`, as the Debian package makes it, or a number without a name.
    pub fn named(name: &str) -> Self {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self::find(&passwd, name).unwrap_or(NO_ONE)
    }

    /// `NAME:PASSWORD:UID:GID:…` (passwd(5)). One with root's number is no user without rights.
    fn find(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(())?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            (uid != 0).then_some(Self { uid, gid })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\nprometheus2:x:1:1::/:/\nprometheus:x:102:105:a b,,,:/:/usr/sbin/nologin\nbad:x:\nfake:x:0:0:::\n";
        let check = |name, expected| assert_eq!(User::find(passwd, name), expected, "{name}");
        check("prometheus", Some(User { uid: 102, gid: 105 }));
        check("prom", None);
        check("bad", None);
        check("fake", None);
    }
}
