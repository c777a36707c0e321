"""How much machine a course needs: people, hand-ins and measured costs in; graders, hosts and storage out."""
