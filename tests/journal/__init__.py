"""The journal, with the real store where threads matter and a fake one where disks fail."""
