//! Secrets: from the environment, or from a file that the environment names.

use crate::exit::Failure;
use idv_core::secret::Secret;
use std::env;
use std::fs;
use zeroize::Zeroizing;

/// The secret that `name`, or the file that `name` with `_FILE` appended names, holds.
pub(crate) fn optional(name: &str) -> Result<Option<Secret>, Failure> {
    let file = format!("{name}_FILE");
    match (env::var(name), env::var_os(&file)) {
        (Ok(_), Some(_)) => Err(Failure::usage(format!("{name} and {file} are both set; set one of them"))),
        (Ok(text), None) if text.is_empty() => Ok(None),
        (Ok(text), None) if text.trim().is_empty() => Err(Failure::usage(format!(
            "{name} holds only blanks; set it to the secret as the provider shows it"
        ))),
        (Ok(text), None) => Ok(Some(Secret::new(text))),
        (Err(env::VarError::NotUnicode(_)), _) => {
            Err(Failure::usage(format!("{name} is not text; set it to the secret as the provider shows it")))
        }
        (Err(env::VarError::NotPresent), Some(path)) => {
            let text = fs::read_to_string(&path).map(Zeroizing::new).map_err(|error| {
                Failure::usage(format!(
                    "{file} names {}, which cannot be read: {error}",
                    path.to_string_lossy()
                ))
            })?;
            // Editors end a file with a newline; it is not part of the secret.
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            if text.trim().is_empty() {
                return Err(Failure::usage(format!("{file} names an empty file; write the secret into it")));
            }
            Ok(Some(Secret::from(text)))
        }
        (Err(env::VarError::NotPresent), None) => Ok(None),
    }
}

/// As [`optional`], but there must be one.
pub(crate) fn required(name: &str) -> Result<Secret, Failure> {
    optional(name)?.ok_or_else(|| {
        let state = if env::var_os(name).is_some() { "empty" } else { "not set" };
        Failure::usage(format!(
            "{name} is {state}; set it, or set {name}_FILE to the path of a file that holds the secret"
        ))
    })
}

/// Several secrets separated by commas: the one in use first, then those that may still sign.
pub(crate) fn list(name: &str) -> Result<Vec<Secret>, Failure> {
    let Some(secret) = optional(name)? else {
        return Ok(Vec::new());
    };
    let secrets: Vec<Secret> = secret.reveal().split(',').map(Secret::from).collect();
    if secrets.iter().any(|secret| secret.reveal().trim().is_empty()) {
        return Err(Failure::usage(format!(
            "{name} holds an empty secret; separate secrets by single commas"
        )));
    }
    Ok(secrets)
}

/// As [`list`], but there must be one.
pub(crate) fn required_list(name: &str) -> Result<Vec<Secret>, Failure> {
    required(name)?;
    list(name)
}
