"""The report of `mtl design`: one page of HTML."""
