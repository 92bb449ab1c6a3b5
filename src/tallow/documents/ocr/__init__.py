"""Reading the text of pictures: lines found and recognised, words, doubtful cells read again."""
