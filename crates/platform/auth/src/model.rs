use serde::{Deserialize, Serialize};

/// What a route may demand. A route names exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See runs, models, endpoints, monitors, events.
    Read,
    /// Log runs and artifacts, register model versions.
    Track,
    /// Ask an endpoint for predictions, send labels.
    Predict,
    /// Start pipelines and rebuilds, apply a project's file.
    Build,
    /// Approve or reject a model version.
    Approve,
    /// Put a revision behind an endpoint, change traffic.
    Deploy,
    /// Tokens and settings.
    Administer,
}

/// What a person or a token is to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Owner,
    Business,
    DataEngineer,
    AiEngineer,
    Developer,
    Operator,
    Approver,
    /// A job of the platform's own: it may track and read, never approve or deploy.
    Job,
    /// An application that asks for predictions.
    Application,
}

impl Role {
    pub const ALL: [Role; 9] = [
        Role::Owner,
        Role::Business,
        Role::DataEngineer,
        Role::AiEngineer,
        Role::Developer,
        Role::Operator,
        Role::Approver,
        Role::Job,
        Role::Application,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Business => "business",
            Self::DataEngineer => "data_engineer",
            Self::AiEngineer => "ai_engineer",
            Self::Developer => "developer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Job => "job",
            Self::Application => "application",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    fn grants(self, permission: Permission) -> bool {
        use Permission::{Approve, Build, Deploy, Predict, Read, Track};
        match self {
            Self::Owner => true,
            Self::Business => permission == Read,
            Self::DataEngineer | Self::AiEngineer => matches!(permission, Read | Track | Predict | Build),
            Self::Developer => matches!(permission, Read | Predict | Build),
            Self::Operator => matches!(permission, Read | Predict | Build | Deploy),
            Self::Approver => matches!(permission, Read | Approve),
            Self::Job => matches!(permission, Read | Track),
            Self::Application => permission == Predict,
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub name: String,
    pub roles: Vec<Role>,
}

impl Principal {
    pub fn person(name: &str, roles: Vec<Role>) -> Self {
        Self { name: name.to_owned(), roles }
    }

    pub fn may(&self, permission: Permission) -> bool {
        self.roles.iter().any(|role| role.grants(permission))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_what() {
        use Permission::*;
        let table = [
            (Role::Owner, vec![Read, Track, Predict, Build, Approve, Deploy, Administer]),
            (Role::Business, vec![Read]),
            (Role::AiEngineer, vec![Read, Track, Predict, Build]),
            (Role::Operator, vec![Read, Predict, Build, Deploy]),
            (Role::Approver, vec![Read, Approve]),
            (Role::Job, vec![Read, Track]),
            (Role::Application, vec![Predict]),
        ];
        for (role, granted) in table {
            for permission in [Read, Track, Predict, Build, Approve, Deploy, Administer] {
                let principal = Principal::person("p", vec![role]);
                assert_eq!(
                    principal.may(permission),
                    granted.contains(&permission),
                    "{role:?} {permission:?}"
                );
            }
        }
    }
}
