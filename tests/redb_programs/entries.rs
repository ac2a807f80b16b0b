use super::common::*;
use super::db::*;
use std::path::Path;

pub fn entries(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut table = txn.open_table(TEXT)?;
        for word in ["oak", "elm", "oak", "yew"] {
            let entry = table.entry(word)?.and_modify(|guard| guard.insert("again"))?;
            out.push(entry.key().to_string());
            out.push(entry.or_insert("new")?.value().to_string());
        }
        let made = table.entry("ash")?.or_insert_with_key(|key| key.len().to_string().leak() as &str)?.value().len();
        out.push(format!("{made} {}", table.entry("ash")?.or_insert_with(|| "unused")?.value()));
        match table.entry("oak")? {
            Entry::Occupied(mut entry) => {
                out.push(format!("{:?}", entry.insert("third")?.value()));
                out.push(format!("{:?}", entry.get()?.value()));
                entry.get_mut()?.insert("fourth")?;
                out.push(format!("{:?}", entry.get()?.value()));
                let (key, value) = entry.remove_entry()?;
                out.push(format!("{key} {}", value.value()));
            }
            Entry::Vacant(_) => out.push("vacant".into()),
        }
        if let Entry::Vacant(entry) = table.entry("oak")? {
            out.push(entry.into_key().to_string());
        }
        let failed = table.entry("elm")?.and_modify(|_| Err(StorageError::DatabaseClosed));
        out.push(format!("{:?}", failed.is_err()));
        out.push(words(&table, "", "zzz")?);
    }
    txn.commit()?;
    Ok(out)
}
