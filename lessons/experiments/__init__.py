"""The experiments whose records are in results/: what is read from these, and the pages made of it.

    python -m lessons.experiments      write all tables and figures anew
"""
