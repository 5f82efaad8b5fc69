//! Gives up the privileges of the process.

use faith_stack::StackError;
use faith_sys::privileges::{self, DropError};
use faith_sys::users::{self, User};
use napi_derive::napi;

use crate::failure::{NativeFailure, Outcome, outcome};

/// A user of this host.
#[napi]
pub struct NativeUser {
    user: User,
}

#[napi]
impl NativeUser {
    /// The user's id.
    #[napi(getter)]
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.user.uid.as_raw()
    }

    /// The id of the user's first group.
    #[napi(getter)]
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.user.gid.as_raw()
    }

    /// Becomes this user on every thread of the process, without any capability, for good. Interfaces go on, and none can be
    /// made. Blocks for some milliseconds. After a failure the process must end.
    #[napi(ts_return_type = "NativeFailure | null")]
    #[must_use]
    pub fn drop_privileges(&self) -> Option<NativeFailure> {
        let failed = |DropError { call, source }| {
            let hint = match source.kind() {
                std::io::ErrorKind::NotFound => "mount /proc",
                std::io::ErrorKind::PermissionDenied => "start as root, or as that user",
                _ => "a user namespace needs an id for the user, and the kernel CONFIG_SECCOMP_FILTER",
            };
            let what = "give up privileges".to_owned();
            StackError::System { what, syscall: call, source, hint: Some(hint) }.into()
        };
        privileges::drop_to(&self.user).err().map(failed)
    }
}

/// Looks a user up by its name; `null` if this host has none of that name.
#[napi(ts_return_type = "NativeFailure | NativeUser | null")]
#[must_use]
pub fn find_user(name: String) -> Outcome<Option<NativeUser>> {
    let failed = |source| {
        let what = format!("look up the user {name}");
        NativeFailure::from(StackError::System { what, syscall: "getpwnam_r", source, hint: None })
    };
    outcome(users::find(&name).map(|user| user.map(|user| NativeUser { user })).map_err(failed))
}
