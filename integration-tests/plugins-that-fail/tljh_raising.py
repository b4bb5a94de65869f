raise ValueError("no course")
