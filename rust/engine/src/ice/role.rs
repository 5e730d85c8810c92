//! The role of an agent (RFC 8445 section 6.1.1).

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Controlling,
    Controlled,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Controlling => "controlling",
            Role::Controlled => "controlled",
        }
    }

    pub(super) fn of(controlling: bool) -> Role {
        if controlling { Role::Controlling } else { Role::Controlled }
    }
}
