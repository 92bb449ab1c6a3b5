"""How families that read pictures stand in files of projectors: a module each."""
