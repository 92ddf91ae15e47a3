//! The rules of lookups, by small texts.
